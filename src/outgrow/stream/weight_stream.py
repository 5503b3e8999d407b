"""The stream of one model's weights: joins plan, loader and live weights, and runs passes."""

__all__ = ["PassEnded", "StreamOptions", "WeightStream"]

import contextlib
import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outgrow.devices.memory import MemoryGauge
from outgrow.errors import OutgrowError, StoreError
from outgrow.events import Listener, Progress
from outgrow.quantities import format_bytes
from outgrow.store.checkpoint import FileIdentity
from outgrow.stream.account import Account
from outgrow.stream.config import MemoryPressureMode, PrefetchStrategy
from outgrow.stream.forward import StreamedLinear
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.loader import Loader, LoaderCounts
from outgrow.stream.plan import Plan, make_plan
from outgrow.stream.pressure import PressureValve
from outgrow.stream.residents import Arrivals, arrivals, forget_others, held_bytes, whole_piece
from outgrow.stream.resources import Resources
from outgrow.stream.weights import Piece, Weight
from outgrow.stream.whole import WeightFiles, has_equal_bits
from outgrow.stream.window_size import WindowTuner
from outgrow.stream.window_use import WindowUse
from outgrow.stream.wiring import Wiring, groups_of, use_order

_LOG = logging.getLogger(__name__)

PROGRESS_BYTES = 1 << 28
"""Resident weights are read in batches of about this size; after each, a listener hears how far it is."""

_LOOKAHEAD: Mapping[PrefetchStrategy, int | None] = {
    PrefetchStrategy.NONE: 0,
    PrefetchStrategy.NEXT_LAYER: 1,
    PrefetchStrategy.ADAPTIVE: None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """What of a `Config` the stream itself needs."""

    io_threads: int
    """Threads that read."""
    strategy: PrefetchStrategy
    """How far ahead they read."""
    pressure_mode: MemoryPressureMode
    """What to give back when memory runs short."""
    keep_resident: frozenset[int]
    """Indices of weights that must stay in memory."""
    checks: bool
    """Whether to check invariants after every pass, and to log every plan."""


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


class WeightStream:
    """Runs a model within a budget: every pass goes through `begin_pass` and `end_pass`, every use through
    `enter`.

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
        self.budget_bytes = budget_bytes
        self.effective_bytes = budget_bytes
        """The budget that the plan keeps now; below the one given while memory is short outside."""
        self.options = options
        self.listener = listener
        self.lock = threading.RLock()
        self.account = Account()
        self.files = WeightFiles(identities)
        self.wiring = Wiring(model, weights)
        self.passes = 0
        self.pass_seconds = 0.0
        self.stalled_in_passes = 0.0
        self.read_in_passes = 0
        self.replans = 0
        self._groups = groups_of(model, weights)
        self._use_order = tuple(use_order(model, weights))
        self._pinned: frozenset[int] = frozenset()
        self._read_outside: set[int] = set()
        self._depth = 0
        self._pass_began = 0.0
        self._counts_before = LoaderCounts()
        self._needs_plan = False
        self._looks_trained = False
        self._warmup: contextlib.ExitStack | None = None
        self._seen: list[int] = []
        self._tuner: WindowTuner | None = None
        self._valve = PressureValve(options.pressure_mode, MemoryGauge())
        self._resources = resources
        self._use = WindowUse(resources)
        self.plan = self._make_plan(budget_bytes)
        self._finalizer = weakref.finalize(model, resources.finalize)
        originals = [
            (parameter, parameter.data) for weight in self.weights for parameter in weight.parameters
        ]
        for weight in self.weights:
            weight.stream = self
            weight.take_original()
        try:
            self._install(self.plan)
        except BaseException:
            self.wiring.unwire()
            self._finalizer()
            for parameter, data in originals:
                parameter.__class__ = nn.Parameter
                parameter.data = data
            raise
        for weight in self.weights:
            weight.original = None

    # -- passes
    # ---------------------------------------------------------------------------------------------------

    def begin_pass(self) -> None:
        """The model's own forward begins; the lock is held until `end_pass`."""
        self.lock.acquire()
        try:
            self._depth += 1
            if self._depth > 1:
                return
            self._check_open()
            self.files.check()
            self._relieve()
            if self._needs_plan:
                self.replan()
            self._use.trace.clear()
            self._look_trained(is_trained=not torch.is_grad_enabled())
            self._pass_began = time.perf_counter()
            self._counts_before = self.counts()
            if not self.passes:
                self._warmup = contextlib.ExitStack()
                self._warmup.enter_context(self.wiring.uses(self._seen))
        except BaseException as err:
            self._distrust(err)
            self._depth -= 1
            self.lock.release()
            raise

    def _distrust(self, error: BaseException | None) -> None:
        """Ctrl-C may have hit anywhere: after it only a fresh machine is surely right."""
        if error is not None and not isinstance(error, Exception):
            self._needs_plan = True

    def end_pass(self, error: BaseException | None) -> None:
        """The model's own forward is over, with `error` where it failed."""
        try:
            self._depth -= 1
            if self._depth:
                return
            self._look_trained(is_trained=False)
            if self._warmup is not None:
                self._warmup.close()
                self._warmup = None
                seen, self._seen = self._seen, []
                if error is None:
                    self._note_use_order(seen)
            if error is None:
                self._learn()
            self._distrust(error)
        except BaseException as err:
            self._distrust(err)
            raise
        finally:
            self.lock.release()

    def _look_trained(self, *, is_trained: bool) -> None:
        """Let weights look, for a pass without gradients, as they looked before they were streamed and thereby frozen:
        torch chooses the kernel of a product by `requires_grad`, also under `no_grad`."""
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
        loader = self._resources.loader
        if self.options.checks:
            loader.check()
        trace = self._use.trace
        if trace and self.options.strategy is not PrefetchStrategy.NONE and tuple(trace) != loader.order:
            loader.set_order(trace)
        self.listener(
            PassEnded(
                number=self.passes,
                seconds=seconds,
                stall_seconds=stalled,
                bytes_read=now.bytes_read - before.bytes_read,
                resident_bytes=self.account.held_bytes,
            )
        )
        if self._pin_what_was_read_outside():
            self._needs_plan = True
        elif self._tuner is not None and not self._needs_plan:
            idle = now.idle_seconds - before.idle_seconds
            window = self._tuner.observe(pass_seconds=seconds, stall_seconds=stalled, idle_seconds=idle)
            if window is not None:
                self.replan(window_bytes=window)

    def _note_use_order(self, order: list[int]) -> None:
        """The true order of use, as the first pass showed it; planned again where it uses other weights than
        assumed."""
        pieces, seen = self.plan.pieces, set(order)
        # Weights whose module nobody called, but that came through the window all the same.
        order += [i for i in dict.fromkeys(pieces[p].weight.index for p in self._use.trace) if i not in seen]
        if Counter(order) != Counter(self._use_order):
            self._needs_plan = True
        self._use_order = tuple(order)

    def _pin_what_was_read_outside(self) -> bool:
        """Whether weights that were read outside their modules can be kept in memory from now on, and are not
        yet."""
        outside, self._read_outside = frozenset(self._read_outside), set()
        wish = self._pinned | outside
        if wish == self._pinned:
            return False
        try:
            self._make_plan(self.effective_bytes, pinned=wish)
        except OutgrowError as err:
            # They go on being read from their files: right, only slower.
            _LOG.info("weights read outside their modules do not fit into memory: %s", err)
            return False
        self._pinned = wish
        return True

    # -- use of weights
    # -------------------------------------------------------------------------------------------

    def enter(self, weights: Sequence[LiveWeight]) -> None:
        """A module is about to compute with `weights`, all of them cut into one piece. Paired with
        `leave`."""
        self.lock.acquire()
        try:
            self._check_open()
            self._use.enter(weights)
        except BaseException as err:
            self._distrust(err)
            self.lock.release()
            raise

    def leave(self, weights: Sequence[LiveWeight], result: Any = None) -> Any:
        """The module is done; its result, with copies in place of what shares memory with the window."""
        try:
            return self._use.leave(weights, result)
        finally:
            self.lock.release()

    def linear(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """`F.linear` with a weight that is not in memory, tile by tile. Equal bits as at once (see
        `TILE_ROWS`)."""
        if torch.is_grad_enabled() and (inputs.requires_grad or (bias is not None and bias.requires_grad)):
            product: Callable[..., Tensor] = lambda x, b: self._tiles(weight, x, b)  # noqa: E731
            return StreamedLinear.apply(inputs, bias, product, weight.whole)  # type: ignore[no-any-return, no-untyped-call]
        return self._tiles(weight, inputs, bias)

    def _tiles(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        with self.lock:
            self._check_open()
            return self._use.tiles(weight, inputs, bias)

    def embedding(self, weight: LiveWeight, indices: Tensor) -> Tensor:
        """Rows of a table, shape `[*indices.shape, *row]`; from memory where they are, else from the file."""
        if weight.weight.source.codec is not None or weight.weight.stride is not None:
            return F.embedding(indices, self.whole(weight))
        with self.lock:
            self._check_open()
            return self._resources.rows.gather(weight, indices)

    def whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight, read outside of its module. If that happens in a pass, the next plan tries to keep
        it."""
        with self.lock:
            self._check_open()
            if weight.resident is not None:
                return weight.resident.detach()
            if not self._depth:
                return self.read_whole(weight)
            self._read_outside.add(weight.weight.index)
            return weight.seen_from_outside(self.read_whole(weight))

    def read_whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight from its file: pages of the file that the system may drop, or a copy in memory."""
        if self.device.type == "cpu" and self.files.can_map(weight):
            return self.files.map(weight, is_given_away=not self._depth)
        flat = self._resources.backend.allocate(weight.weight.nbytes).view(weight.weight.dtype)
        self._resources.loader.fetch_now([(whole_piece(weight.weight), flat)], room_bytes=self._spare_bytes())
        return weight.shaped(flat)

    def weight_in_window(self, tensor: Tensor) -> tuple[LiveWeight, int] | None:
        """The weight in the window whose memory `tensor` shares, and where in it `tensor` begins, in its
        elements."""
        weight = self._use.weight_at(tensor)
        if weight is None:
            return None
        return weight, int(tensor.storage_offset() - self._use.memory_of(weight).storage_offset())

    # -- plans
    # ----------------------------------------------------------------------------------------------------

    def replan(self, budget_bytes: int | None = None, window_bytes: int | None = None) -> None:
        """Change to a plan for another budget or window, between passes.

        Raises:
            BudgetTooSmall: no plan fits; nothing has changed then.
            StoreError: weights that now are resident cannot be read; they stay streamed until the next pass
                tries again.
        """
        with self.lock:
            self._check_open()
            effective = self.effective_bytes if budget_bytes is None else budget_bytes
            plan = self._make_plan(effective, window_bytes)
            self._change_to(plan, keep_tuner=window_bytes is not None)
            self.budget_bytes = self.budget_bytes if budget_bytes is None else budget_bytes
            self.effective_bytes = effective

    def exchange(
        self,
        statics: Mapping[int, Weight],
        identities: Mapping[Path, FileIdentity],
        *,
        drop_changes: bool = False,
    ) -> None:
        """Give weights other bytes or another dtype: `statics` are their new descriptions, by index.

        With `drop_changes`, what somebody wrote to the old bytes in memory goes with them.

        Raises:
            BudgetTooSmall: no plan fits; nothing has changed then.
        """
        with self.lock:
            self._check_open()
            everything = [statics.get(weight.weight.index, weight.weight) for weight in self.weights]
            plan = self._make_plan(self.effective_bytes, statics=everything)

            def change() -> None:
                self.files = WeightFiles({**self.files.identities, **identities})
                for weight in self.weights:
                    if weight.weight.index in statics:
                        weight.redescribe(statics[weight.weight.index], self.device)

            changing = frozenset(statics)
            self._change_to(
                plan, change=change, changing=changing, dropping=changing if drop_changes else frozenset()
            )

    def move(self, resources: Resources) -> None:
        """Compute on another device from now on: `resources` are made for it and belong to this stream
        afterwards.

        Raises:
            BudgetTooSmall: no plan fits there; nothing has changed then.
        """
        with self.lock:
            self._check_open()
            old = self._resources

            def change() -> None:
                self._resources = resources
                self._use = WindowUse(resources)
                for weight in self.weights:
                    weight.redescribe(weight.weight, resources.backend.device)

            every = frozenset(weight.weight.index for weight in self.weights)
            plan = replace(self._make_plan(self.effective_bytes), in_place=resources.backend.in_place)
            self._change_to(plan, change=change, changing=every)
            old.close()
            model = self._finalizer.detach()
            assert model is not None
            self._finalizer = weakref.finalize(model[0], resources.finalize)

    def _make_plan(
        self,
        budget_bytes: int,
        window_bytes: int | None = None,
        *,
        pinned: frozenset[int] | None = None,
        statics: Sequence[Weight] | None = None,
    ) -> Plan:
        return make_plan(
            [weight.weight for weight in self.weights] if statics is None else statics,
            budget_bytes=budget_bytes,
            order=self._use_order,
            io_threads=self.options.io_threads,
            groups=self._groups,
            window_bytes=window_bytes,
            keep_resident=self.options.keep_resident | (self._pinned if pinned is None else pinned),
            in_place=self._resources.backend.in_place,
        )

    def _change_to(
        self,
        plan: Plan,
        *,
        keep_tuner: bool = False,
        change: Callable[[], None] | None = None,
        changing: frozenset[int] = frozenset(),
        dropping: frozenset[int] = frozenset(),
    ) -> None:
        """Free what `plan` does not keep and the whole window, do `change`, and go on with `plan`."""
        for weight in self.weights:
            index = weight.weight.index
            stays = index not in changing and all(
                piece.index in plan.resident for piece in plan.pieces_of[index]
            )
            if not stays and index not in dropping and self._was_changed(weight):
                raise StoreError(
                    f"weight {weight.name!r} was changed in memory, and the new plan would drop the change",
                    hint="restore(model) keeps it; so does Config(keep_resident=...)",
                )
        self._needs_plan = True
        self._use.forget()
        if self._resources.has_loader:
            self._resources.retire_loader()
        self.account.give_back("window")
        self.account.give_back("staging")
        if change is not None:
            change()
        forget_others(self.weights, plan)
        self.account.set("resident", held_bytes(self.weights))
        self._install(plan, keep_tuner=keep_tuner)
        self.replans += 1

    def _was_changed(self, weight: LiveWeight) -> bool:
        """Whether a resident weight is no longer what its file holds. Writes through `.data` leave no other trace."""
        if weight.resident is None or weight.was_written or not self.files.can_map(weight):
            return weight.was_written
        on_disk = self.files.map(weight, is_given_away=True)
        return not has_equal_bits(weight.resident, on_disk)

    def _install(self, plan: Plan, *, keep_tuner: bool = False) -> None:
        """Bring the resident weights of `plan` into memory and begin to stream the others."""
        self.plan = plan
        backend = self._resources.backend
        lookahead = _LOOKAHEAD[self.options.strategy]
        loader = Loader(plan, backend, threads=self.options.io_threads, lookahead=lookahead)
        self._resources.loader = loader
        coming = arrivals(self.weights, plan, backend.allocate)
        self.account.set("resident", plan.resident_bytes)
        self._fetch(coming, plan.window_bytes + plan.budget_bytes - plan.reserved_bytes)
        for finish in coming.finishes:
            finish()
        self.account.set("window", plan.window_bytes)
        self.account.set("staging", plan.staging_bytes)
        self.wiring.rewire(self, plan)
        loader.start()
        if not keep_tuner:
            self._tuner = self._make_tuner(plan)
        self._needs_plan = False
        if self.options.checks:
            stays, streams = format_bytes(plan.resident_bytes), format_bytes(plan.pass_bytes)
            _LOG.debug(
                "plan: %s stay, %s stream per pass, window %s",
                stays,
                streams,
                format_bytes(plan.window_bytes),
            )

    def _fetch(self, coming: Arrivals, room_bytes: int) -> None:
        """Read what is to become resident, by the gigabyte, so that progress shows."""
        total, done = sum(piece.nbytes for piece, _ in coming.fills), 0
        batch: list[tuple[Piece, Tensor]] = []
        for number, (piece, memory) in enumerate(coming.fills, 1):
            batch.append((piece, memory))
            size = sum(part.nbytes for part, _ in batch)
            if size < PROGRESS_BYTES and number < len(coming.fills):
                continue
            self.listener(Progress(task="reading weights", done=done, total=total, item=piece.weight.name))
            self._resources.loader.fetch_now(batch, room_bytes=room_bytes)
            done += size
            batch = []
        if total:
            self.listener(Progress(task="reading weights", done=done, total=total))

    def _make_tuner(self, plan: Plan) -> WindowTuner | None:
        is_fixed = self.options.strategy is not PrefetchStrategy.ADAPTIVE or not plan.window_bytes
        if is_fixed or self.options.pressure_mode is MemoryPressureMode.CONSERVATIVE:
            return None
        return WindowTuner(
            window_bytes=plan.window_bytes, most_bytes=(plan.budget_bytes - plan.staging_bytes) // 2
        )

    def _relieve(self) -> None:
        """Give memory back, or take it again, as pressure from outside asks."""
        change = self._valve.judge(budget_bytes=self.budget_bytes, effective_bytes=self.effective_bytes)
        if change is None:
            return
        if change.smallest_window:
            self.replan(window_bytes=0)
            return
        try:
            self._make_plan(change.effective_bytes)
        except OutgrowError as err:
            _LOG.info("memory is short, but the weights need what they have: %s", err)
            return
        self.effective_bytes = change.effective_bytes
        self.replan()

    # -- the rest
    # -------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the stream runs."""
        return self._finalizer.alive

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._resources.backend.device

    @property
    def misses(self) -> int:
        """Pieces that nobody had fetched when they were needed."""
        return self._resources.misses

    @property
    def wasted(self) -> int:
        """Pieces that were fetched and not used."""
        return self._resources.wasted

    def counts(self) -> LoaderCounts:
        """What was read and waited for since the beginning."""
        return self._resources.counts()

    def problems(self) -> list[str]:
        """What is wrong with the stream, a sentence each."""
        with self.lock:
            if not self.is_open:
                return ["the stream is closed: weights that are not in memory cannot be read"]
            found = []
            try:
                self.files.check()
                self._resources.loader.check()
            except (OutgrowError, AssertionError) as err:
                found.append(str(err))
            if self._resources.has_loader and not self._resources.loader.is_alive:
                found.append("the I/O threads are gone")
            if self._use.retained_names:
                names = ", ".join(self._use.retained_names)
                found.append(
                    f"views of {names} are kept after their modules have run, which keeps their memory taken"
                )
            return found

    def bring_back(self) -> None:
        """Read every weight into memory for good, unwrap all modules and stop streaming.

        Raises:
            StoreError: a file cannot be read; nothing has changed then.
        """
        with self.lock:
            self._check_open()
            self.files.check()
            coming = arrivals(self.weights, None, self._resources.backend.allocate)
            self._fetch(coming, self._spare_bytes())
            self._use.forget()
            for finish in coming.finishes:
                finish()
            self.close()

    def close(self) -> None:
        """Stop streaming and give everything back; weights that are not resident cannot be read
        afterwards."""
        with self.lock:
            self.wiring.unwire()
            self._finalizer()
            self.files.close()
            self._use.forget()

    def _spare_bytes(self) -> int:
        return max(self.plan.budget_bytes - self.plan.reserved_bytes, 1 << 20)

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise OutgrowError("this model's weights are no longer streamed: its stream was closed")
