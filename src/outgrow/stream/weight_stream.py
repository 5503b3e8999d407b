"""The stream of one model's weights: joins plan, loader and live weights, and runs passes."""

__all__ = ["PassEnded", "WeightStream"]

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outgrow.devices.memory import release_freed_memory
from outgrow.errors import InputError, OutgrowError
from outgrow.events import Listener
from outgrow.interrupts import Uninterrupted
from outgrow.store.checkpoint import FileIdentity
from outgrow.stream.farewell import Farewell
from outgrow.stream.figures import StreamFigures
from outgrow.stream.forward import StreamedLinear
from outgrow.stream.installation import Installation
from outgrow.stream.live_weight import LiveWeight, ordinary_tensors
from outgrow.stream.loader_counts import LoaderCounts
from outgrow.stream.residents import memory_for, whole_piece
from outgrow.stream.resources import Resources
from outgrow.stream.stream_options import StreamOptions
from outgrow.stream.weights import Weight
from outgrow.stream.wiring import Wiring, groups_of, use_order


@dataclass(frozen=True, slots=True, kw_only=True)
class PassEnded:
    """The event of one complete forward pass of the model."""

    number: int
    """Which pass it was; the first is 1."""
    seconds: float
    """How long it took."""
    stall_seconds: float
    """How long modules waited for weights in it."""
    bytes_read: int
    """Bytes that came from files during it."""
    resident_bytes: int
    """Memory that weights, window and staging take."""


class WeightStream(StreamFigures):
    """Runs a model within a budget: every pass goes through `run_pass`, every use through `enter`.

    Passes of several threads are serialised by one lock. All methods may be called from any thread.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Sequence[LiveWeight],
        *,
        budget_bytes: int,
        options: StreamOptions,
        identities: Mapping[Path, FileIdentity],
        resources: Resources,
        listener: Listener,
    ) -> None:
        """Plan and begin to stream. The assumed order of use is that of modules; the first pass shows the
        true one.

        Raises:
            BudgetTooSmall: no plan fits. Nothing has changed then.
            StoreError: a resident weight cannot be read. Nothing has changed then.
        """
        self.weights = list(weights)
        self.listener = listener
        self.lock = threading.RLock()
        self.wiring = Wiring(model, weights)
        self.passes = 0
        self.pass_seconds = 0.0
        self.stalled_in_passes = 0.0
        self.read_in_passes = 0
        self._read_outside: set[int] = set()
        self._depth = 0
        self._pass_began = 0.0
        self._counts_before = LoaderCounts()
        self._looks_trained = False
        self._warmup: contextlib.ExitStack | None = None
        self._seen: list[int] = []
        self._installed = Installation(
            self.weights,
            budget_bytes=budget_bytes,
            options=options,
            groups=groups_of(model, weights),
            use_order=use_order(model, weights),
            identities=identities,
            resources=resources,
            rewire=lambda plan: self.wiring.rewire(self, plan),
            listener=listener,
        )
        self._farewell = Farewell(model, resources.finalize)
        originals = [
            (parameter, parameter.data) for weight in self.weights for parameter in weight.parameters
        ]
        try:
            for weight in self.weights:
                weight.stream = self
                weight.take_original()
            self._installed.install(self._installed.plan)
        except BaseException:
            self.wiring.unwire()
            self._release()
            for parameter, data in originals:
                parameter.__class__ = nn.Parameter
                parameter.__dict__.pop("_supplier_of", None)
                parameter.data = data
            raise
        for weight in self.weights:
            weight.original = None
        del originals
        release_freed_memory()

    # -- passes

    def run_pass(self, forward: Callable[[], Any]) -> Any:
        """What the model's own `forward` gives, run as one pass; no other thread runs one meanwhile."""
        with self.lock:
            before = self._depth
            try:
                with Uninterrupted():
                    self._begin_pass()
                result = forward()
                with Uninterrupted():
                    self._end_pass(None, before)
            except BaseException as err:
                with Uninterrupted():
                    self._distrust(err)
                    self._end_pass(err, before)
                raise
            return result

    def _begin_pass(self) -> None:
        if self._depth:
            self._depth += 1
            return
        self._check_open()
        self._installed.files.check()
        self._installed.renew()
        self._installed.use.trace.clear()
        self._depth = 1
        self._look_trained(is_trained=not torch.is_grad_enabled())
        self._pass_began = time.perf_counter()
        self._counts_before = self.counts()
        if not self.passes:
            self._warmup = contextlib.ExitStack()
            self._warmup.enter_context(self.wiring.uses(self._seen))

    def _distrust(self, error: BaseException | None) -> None:
        """Ctrl-C may have hit anywhere: after it only a fresh machine is surely right."""
        if error is not None and not isinstance(error, Exception):
            self._installed.needs_plan = True

    def _end_pass(self, error: BaseException | None, before: int) -> None:
        """The forward is over, with `error` where it failed: as deep as `before` again. Does nothing the
        second time."""
        if self._depth == before:
            return
        self._depth = before
        if self._depth:
            return
        self._look_trained(is_trained=False)
        if self._warmup is not None:
            self._warmup.close()
            self._warmup = None
            seen, self._seen = self._seen, []
            if error is None:
                self._installed.note_use_order(seen)
        if error is None:
            # A file that was written to meanwhile may have given bytes of both of its states.
            self._installed.files.check()
            self._learn()

    def _look_trained(self, *, is_trained: bool) -> None:
        """Let weights look, for a pass without gradients, as they looked before they were streamed and
        thereby frozen: torch chooses the kernel of a product by `requires_grad`, also under `no_grad`."""
        if is_trained != self._looks_trained:
            self._looks_trained = is_trained
            for weight in self.weights:
                weight.look_trained(is_trained=is_trained)

    def freeze(self) -> None:
        """The user froze weights, as adapters do: from now on kernels are chosen as for frozen ones."""
        for weight in self.weights:
            weight.was_trained = False

    def _learn(self) -> None:
        """Keep the figures of a complete pass and adapt to what it showed."""
        seconds = time.perf_counter() - self._pass_began
        now, before = self.counts(), self._counts_before
        stalled = now.stall_seconds - before.stall_seconds
        self.passes += 1
        self.pass_seconds += seconds
        self.stalled_in_passes += stalled
        self.read_in_passes += now.bytes_read - before.bytes_read
        if self._installed.options.checks:
            self._installed.resources.loader.check()
        self._installed.follow_trace()
        self.listener(
            PassEnded(
                number=self.passes,
                seconds=seconds,
                stall_seconds=stalled,
                bytes_read=now.bytes_read - before.bytes_read,
                resident_bytes=self.account.held_bytes,
            )
        )
        outside, self._read_outside = frozenset(self._read_outside), set()
        self._installed.pin(outside)
        self._installed.adapt_window(
            pass_seconds=seconds,
            stall_seconds=stalled,
            idle_seconds=now.idle_seconds - before.idle_seconds,
        )

    # -- use of weights

    def enter(self, weights: Sequence[LiveWeight], entered: list[LiveWeight]) -> None:
        """A module is about to compute with `weights`, all of them cut into one piece. Callers hold the lock
        until they have called `leave` with `entered`, also where this fails."""
        with Uninterrupted():
            self._check_open()
            self._installed.use.enter(weights, entered)

    def leave(self, entered: list[LiveWeight], result: Any = None) -> Any:
        """The module is done; its result, with copies in place of what shares memory with the window. Does
        nothing the second time."""
        with Uninterrupted():
            return self._installed.use.leave(entered, result)

    def linear(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """`F.linear` with a weight that is not in memory, tile by tile. Equal bits as at once (see
        `TILE_ROWS`)."""
        if torch.is_grad_enabled() and (inputs.requires_grad or (bias is not None and bias.requires_grad)):
            product: Callable[..., Tensor] = lambda x, b: self._tiles(weight, x, b)  # noqa: E731
            return StreamedLinear.apply(inputs, bias, product, weight.whole)  # type: ignore[no-any-return, no-untyped-call]
        return self._tiles(weight, inputs, bias)

    def _tiles(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        with self.lock, Uninterrupted():
            self._check_open()
            return self._installed.use.tiles(weight, inputs, bias)

    def embedding(self, weight: LiveWeight, indices: Tensor) -> Tensor:
        """Rows of a table, shape `[*indices.shape, *row]`; from memory where they are, else from the file."""
        if weight.weight.source.codec is not None or weight.weight.stride is not None:
            return F.embedding(indices, self.whole(weight))
        with self.lock, Uninterrupted():
            self._check_open()
            return self._installed.resources.rows.gather(weight, indices)

    def whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight, read outside of its module. If that happens in a pass, the next plan tries to keep
        it."""
        with self.lock, Uninterrupted():
            self._check_open()
            if weight.resident is not None:
                return weight.resident.detach()
            if not self._depth:
                return self.read_whole(weight)
            self._read_outside.add(weight.weight.index)
            return weight.seen_from_outside(self.read_whole(weight))

    @ordinary_tensors()
    def read_whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight from its file: pages of the file that the system may drop, or a copy in memory."""
        if self.device.type == "cpu" and self._installed.files.can_map(weight):
            return self._installed.files.map(weight, is_given_away=not self._depth)
        piece = whole_piece(weight.weight)
        flat = memory_for(piece, self._installed.resources.backend.allocate)
        self._installed.resources.loader.fetch_now([(piece, flat)], room_bytes=self._installed.spare_bytes)
        return weight.shaped(flat)

    def weight_in_window(self, tensor: Tensor) -> tuple[LiveWeight, int] | None:
        """The weight in the window whose memory `tensor` shares, and where in it `tensor` begins, in its
        elements."""
        weight = self._installed.use.weight_at(tensor)
        if weight is None:
            return None
        return weight, int(tensor.storage_offset() - self._installed.use.memory_of(weight).storage_offset())

    # -- plans

    def replan(self, budget_bytes: int | None = None, window_bytes: int | None = None) -> None:
        """As `Installation.replan`, between passes."""
        with self.lock, Uninterrupted():
            self._check_open()
            self._check_between_passes()
            self._installed.replan(budget_bytes, window_bytes)

    def exchange(
        self,
        statics: Mapping[int, Weight],
        identities: Mapping[Path, FileIdentity],
        *,
        drop_changes: bool = False,
    ) -> None:
        """As `Installation.exchange`, between passes."""
        with self.lock, Uninterrupted():
            self._check_open()
            self._check_between_passes()
            self._installed.exchange(statics, identities, drop_changes=drop_changes)

    def was_changed(self, weight: LiveWeight) -> bool:
        """As `Installation.was_changed`."""
        with self.lock:
            self._check_open()
            return self._installed.was_changed(weight)

    def move(self, resources: Resources) -> None:
        """As `Installation.move`, between passes; `resources` belong to this stream afterwards."""
        with self.lock, Uninterrupted():
            self._check_open()
            self._check_between_passes()
            self._installed.move(resources)
            model = self._farewell.detach()
            assert model is not None
            self._farewell = Farewell(model, resources.finalize)

    @property
    def is_open(self) -> bool:
        """Whether the stream runs."""
        return self._farewell.is_pending

    def problems(self) -> list[str]:
        """What is wrong with the stream, a sentence each."""
        with self.lock:
            if not self.is_open:
                return ["the stream is closed: weights that are not in memory cannot be read"]
            found = []
            try:
                self._installed.files.check()
                self._installed.resources.loader.check()
            except (OutgrowError, AssertionError) as err:
                found.append(str(err))
            if self._installed.resources.has_loader and not self._installed.resources.loader.is_alive:
                found.append("the I/O threads are gone")
            if self._installed.use.retained_names:
                names = ", ".join(self._installed.use.retained_names)
                found.append(
                    f"views of {names} are kept after their modules have run, which keeps their memory taken"
                )
            return found

    def bring_back(self) -> None:
        """Read every weight into memory for good, unwrap all modules and stop streaming.

        Raises:
            StoreError: a file cannot be read; nothing has changed then.
        """
        with self.lock, Uninterrupted():
            self._check_open()
            self._check_between_passes()
            self._installed.files.check()
            self._installed.bring_everything()
            self.close()

    def close(self) -> None:
        """Stop streaming and give everything back; weights that are not resident cannot be read
        afterwards."""
        with self.lock, Uninterrupted():
            self.wiring.unwire()
            try:
                # Before the window goes: what somebody still computes with gets memory of its own.
                self._installed.use.forget()
            finally:
                self._release()
                self._installed.files.close()

    def _release(self) -> None:
        """Give the resources back now; once."""
        if self._farewell.is_pending:
            self._installed.resources.close()
            self._farewell.detach()

    def _check_between_passes(self) -> None:
        if self._depth:
            raise InputError(
                "this model is in the middle of a forward pass, whose modules compute with what would go",
                hint="change it between passes: before or after model(...), or in a callback of generate()",
            )

    def _check_open(self) -> None:
        if not self._farewell.is_pending:
            raise OutgrowError(
                "this model's weights are no longer streamed: its stream was closed",
                hint="load the model again to stream it",
            )
