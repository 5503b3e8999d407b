"""The stream of one model's weights: joins plan, loader and live weights, and runs passes."""

__all__ = ["StreamOptions", "WeightStream"]

import contextlib
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from outgrow.devices.memory import MemoryGauge
from outgrow.errors import OutgrowError, StoreError
from outgrow.events import Listener
from outgrow.store.checkpoint import FileIdentity, check_unchanged
from outgrow.store.readers import Reader
from outgrow.stream.account import Account
from outgrow.stream.backends.backend import Backend
from outgrow.stream.config import MemoryPressureMode, PrefetchStrategy
from outgrow.stream.forward import StreamedLinear, clone_views
from outgrow.stream.live_weight import LiveWeight, storage_users
from outgrow.stream.loader import Loader, LoaderCounts
from outgrow.stream.plan import Plan, make_plan
from outgrow.stream.pressure import PressureValve
from outgrow.stream.residency import Ticket
from outgrow.stream.table import RowReader
from outgrow.stream.weights import Piece, Use
from outgrow.stream.window_size import WindowTuner
from outgrow.stream.wiring import Wiring, groups_of, use_order


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """What of a `Config` the stream itself needs."""

    io_threads: int
    strategy: PrefetchStrategy
    pressure_mode: MemoryPressureMode
    keep_resident: frozenset[int]
    """Indices of weights that must stay in memory."""
    checks: bool
    """Whether to check invariants after every pass."""


class Resources:
    """What must be given back when a model dies: threads, memory, open files. Knows nothing of the model."""

    def __init__(self, backend: Backend, reader: Reader) -> None:
        self.backend = backend
        self.reader = reader
        self.rows = RowReader()
        self.loader: Loader | None = None

    def close(self) -> None:
        """Stop threads, close files, free the window; may be called twice."""
        if self.loader is not None:
            self.loader.close()
        self.backend.close()
        self.rows.close()
        self.reader.close()


class WeightStream:
    """Runs a model within a budget: every pass goes through `begin_pass` and `end_pass`, every use through `enter`.

    Passes of several threads are serialised by one lock. All public methods may be called from any thread.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Sequence[LiveWeight],
        *,
        budget_bytes: int,
        options: StreamOptions,
        identities: Mapping[Path, FileIdentity],
        backend: Backend,
        reader: Reader,
        listener: Listener,
    ) -> None:
        """Plan and begin to stream. The assumed order of use is that of modules; the first pass shows the true one.

        Raises:
            BudgetTooSmall: no plan fits. Nothing has changed then.
        """
        self.weights = list(weights)
        self.budget_bytes = budget_bytes
        self.options = options
        self.groups = groups_of(model, weights)
        self.wiring = Wiring(model, weights)
        self.identities = dict(identities)
        self.listener = listener
        self.lock = threading.RLock()
        self.account = Account()
        self.passes = 0
        self.pass_seconds = 0.0
        self.last_pass_seconds = 0.0
        self.replans = 0
        self.read_outside: Counter[int] = Counter()
        self.uses_order = tuple(use_order(model, weights))
        self.plan = self._make_plan(budget_bytes)
        self._resources = Resources(backend, reader)
        self._finalizer = weakref.finalize(model, self._resources.close)
        self._rows = self._resources.rows
        self._count_users = storage_users()
        self._past: LoaderCounts = LoaderCounts()
        self._past_misses = self._past_wasted = 0
        self._bound: dict[int, LiveWeight] = {}
        self._retained: list[tuple[LiveWeight, Ticket, Tensor, int]] = []
        self._trace: list[int] = []
        self._depth = 0
        self._pass_began = 0.0
        self._needs_plan = False
        self._mapped: dict[Path, torch.UntypedStorage] = {}
        self._tuner: WindowTuner | None = None
        self._valve = PressureValve(options.pressure_mode, MemoryGauge())
        self._effective_bytes = budget_bytes
        for weight in self.weights:
            weight.stream = self
            weight.unbind()
        self._warmup: contextlib.ExitStack | None = None
        self._seen: list[int] = []
        try:
            self._install(self.plan)
        except BaseException:
            self._finalizer()
            raise

    # -- passes ---------------------------------------------------------------------------------------------------

    def begin_pass(self) -> None:
        """The model's own forward begins; the lock is held until `end_pass`."""
        self.lock.acquire()
        try:
            self._depth += 1
            if self._depth > 1:
                return
            self._check_open()
            check_unchanged(self.identities)
            self._relieve()
            if self._needs_plan:
                self.replan()
            self._trace.clear()
            self._pass_began = time.perf_counter()
            self._counts_before = self.counts()
            if not self.passes:
                self._warmup = contextlib.ExitStack()
                self._warmup.enter_context(self.wiring.uses(self._seen))
        except BaseException:
            self._depth -= 1
            self.lock.release()
            raise

    def end_pass(self, error: BaseException | None) -> None:
        """The model's own forward is over, with `error` where it failed."""
        try:
            self._depth -= 1
            if self._depth:
                return
            if self._warmup is not None:
                self._warmup.close()
                self._warmup = None
                seen, self._seen = self._seen, []
                if error is None:
                    self._set_use_order(seen)
            if error is not None:
                # Anything may have been interrupted anywhere: only a fresh machine is surely right.
                self._needs_plan = self._needs_plan or not isinstance(error, Exception)
                return
            self._learn()
        finally:
            self.lock.release()

    def _learn(self) -> None:
        seconds = time.perf_counter() - self._pass_began
        self.passes += 1
        self.pass_seconds += seconds
        self.last_pass_seconds = seconds
        loader = self._loader
        if self.options.checks:
            loader.check()
        if not self._trace:
            return
        if self.options.strategy is not PrefetchStrategy.NONE and tuple(self._trace) != loader.order:
            loader.set_order(self._trace)
        if self._pin_outsiders():
            self._needs_plan = True
            return
        if self._tuner is not None:
            now, before = self.counts(), self._counts_before
            window = self._tuner.observe(
                pass_seconds=seconds,
                stall_seconds=now.stall_seconds - before.stall_seconds,
                idle_seconds=now.idle_seconds - before.idle_seconds,
            )
            if window is not None:
                self.replan(window_bytes=window)

    def _set_use_order(self, order: list[int]) -> None:
        """The true order of use, as the first pass showed it; planned again where it uses other weights than assumed."""
        pieces = self.plan.pieces
        seen = set(order)
        # Weights whose module nobody called, but that came through the window all the same.
        order = order + [i for i in dict.fromkeys(pieces[p].weight.index for p in self._trace) if i not in seen]
        if Counter(order) != Counter(self.uses_order):
            self._needs_plan = True
        self.uses_order = tuple(order)

    def _pin_outsiders(self) -> bool:
        """Whether weights that were read outside their modules can be kept in memory from now on, and are not yet."""
        outside = frozenset(self.read_outside) - self.options.keep_resident - self._pinned
        if not outside:
            return False
        wish = self._pinned | outside
        try:
            self._make_plan(self._effective_bytes, pinned=wish)
        except OutgrowError:
            # They go on being read from their files: right, only slower.
            self.read_outside.clear()
            return False
        self._pinned = wish
        return True

    # -- use of weights -------------------------------------------------------------------------------------------

    def enter(self, weights: Sequence[LiveWeight]) -> None:
        """A module is about to compute with `weights`, all of them cut into one piece. Paired with `leave`."""
        self.lock.acquire()
        done = []
        try:
            for weight in weights:
                if weight.uses == 0 and weight.is_streamed:
                    self._bind(weight)
                weight.uses += 1
                done.append(weight)
        except BaseException:
            self._leave(done, None)
            self.lock.release()
            raise

    def leave(self, weights: Sequence[LiveWeight], result: Any = None) -> Any:
        """The module is done; its result, with copies in place of what shares memory with the window."""
        try:
            return self._leave(weights, result)
        finally:
            self.lock.release()

    def _bind(self, weight: LiveWeight) -> None:
        self._check_open()
        (piece,) = weight.pieces(self.plan)
        ticket = self._acquire(piece)
        memory = self._loader.memory_of(ticket)
        weight.ticket = ticket
        ticket.payload["users"] = self._count_users(memory)
        self._bound[memory.untyped_storage().data_ptr()] = weight
        weight.bind(weight.shaped(memory.view(-1)))

    def _leave(self, weights: Sequence[LiveWeight], result: Any) -> Any:
        released: list[tuple[LiveWeight, Ticket, Tensor, int]] = []
        for weight in weights:
            weight.uses -= 1
            ticket = weight.ticket
            if weight.uses or ticket is None:
                continue
            memory = self._loader.memory_of(ticket)
            users = ticket.payload["users"]
            assert isinstance(users, int)
            weight.ticket = None
            weight.unbind()
            self._bound.pop(memory.untyped_storage().data_ptr(), None)
            released.append((weight, ticket, memory, users))
        shared = [entry for entry in released if self._count_users(entry[2]) > entry[3]]
        if shared and result is not None:
            result = clone_views(result, {entry[2].untyped_storage().data_ptr() for entry in shared})
        if self._retained:
            released.extend(self._retained)
            self._retained = []
        for entry in released:
            if self._count_users(entry[2]) > entry[3]:
                # Somebody keeps a view of the bytes: their memory must not be used again before it is gone.
                self._retained.append(entry)
            else:
                self._loader.release(entry[1])
        return result

    def _acquire(self, piece: Piece) -> Ticket:
        self._trace.append(piece.index)
        try:
            return self._loader.acquire(piece.index)
        except OutgrowError as err:
            if not self._retained:
                raise
            names = ", ".join(sorted({entry[0].name for entry in self._retained}))
            raise OutgrowError(
                f"no memory of the window is free for {piece.weight.name!r}: views of {names} are kept after their "
                "modules have run",
                hint=f"keep these weights in memory: `Config(keep_resident=({names!r},))`",
            ) from err

    # -- Supplier -------------------------------------------------------------------------------------------------

    def linear(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """`F.linear` with a weight that is not in memory, tile by tile. Equal bits as at once (see `TILE_ROWS`)."""
        if torch.is_grad_enabled() and (inputs.requires_grad or (bias is not None and bias.requires_grad)):
            return StreamedLinear.apply(inputs, bias, lambda x, b: self.tiles(weight, x, b), weight.whole)  # type: ignore[no-any-return, no-untyped-call]
        return self.tiles(weight, inputs, bias)

    def tiles(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """The product of `inputs` and every row of `weight`, shape `[..., rows]`."""
        with self.lock:
            self._check_open()
            pieces = weight.pieces(self.plan)
            result: Tensor | None = None
            for piece in pieces:
                rows = slice(piece.first_row, piece.last_row)
                part = self._tile(weight, piece, inputs, None if bias is None else bias[rows])
                if len(pieces) == 1:
                    return part
                if result is None:
                    result = part.new_empty((*part.shape[:-1], weight.shape[0]))
                result[..., rows] = part
            assert result is not None
            return result

    def _tile(self, weight: LiveWeight, piece: Piece, inputs: Tensor, bias: Tensor | None) -> Tensor:
        resident = weight.tiles.get((piece.first_row, piece.last_row))
        if resident is not None:
            return F.linear(inputs, resident, bias)
        ticket = self._acquire(piece)
        try:
            memory = self._loader.memory_of(ticket)
            if piece.is_whole:
                memory = weight.shaped(memory.view(-1))
            return F.linear(inputs, memory, bias)
        finally:
            self._loader.release(ticket)

    def embedding(self, weight: LiveWeight, indices: Tensor) -> Tensor:
        """Rows of a table, shape `[*indices.shape, *row]`; from memory where they are, else from the file."""
        if weight.weight.source.codec is not None or weight.weight.stride is not None:
            return F.embedding(indices, self.whole(weight))
        with self.lock:
            self._check_open()
            return self._rows.gather(weight, indices)

    def whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight, read outside of its module: a private mapping of its file, or a copy where that cannot be."""
        with self.lock:
            self._check_open()
            if weight.resident is not None:
                return weight.resident.detach()
            self.read_outside[weight.weight.index] += 1
            return self.read_whole(weight)

    def read_whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight from its file: pages of the file that the system may drop, or a copy in memory."""
        static = weight.weight
        source = static.source
        device = self._resources.backend.device
        plain = source.codec is None and static.dtype == source.dtype and len(source.segments) == 1
        if plain and device.type == "cpu" and source.segments[0].offset % static.dtype.itemsize == 0:
            segment = source.segments[0]
            check_unchanged({segment.path: self.identities[segment.path]})
            storage = self._mapped.get(segment.path)
            if storage is None:
                nbytes = self.identities[segment.path].size
                storage = torch.UntypedStorage.from_file(str(segment.path), False, nbytes)
                self._mapped[segment.path] = storage
            flat = torch.empty(0, dtype=static.dtype).set_(
                storage, segment.offset // static.dtype.itemsize, (static.nbytes // static.dtype.itemsize,)
            )
            return weight.shaped(flat)
        flat = torch.empty(static.nbytes, dtype=torch.uint8, device=device).view(static.dtype)
        whole = Piece(index=0, weight=static, first_row=0, last_row=static.shape[0] if static.shape else 1)
        self._loader.fetch_now([(whole, flat)], room_bytes=self._spare_bytes())
        return weight.shaped(flat)

    def bound_weight(self, tensor: Tensor) -> LiveWeight | None:
        """The weight in the window whose memory `tensor` shares; None where it shares none."""
        return self._bound.get(tensor.untyped_storage().data_ptr()) if self._bound else None

    def memory_in_window(self, weight: LiveWeight) -> Tensor:
        """Where the bytes of a weight that a module uses now begin."""
        assert weight.ticket is not None, "the weight is not in use"
        return self._loader.memory_of(weight.ticket)

    # -- plans ----------------------------------------------------------------------------------------------------

    _pinned: frozenset[int] = frozenset()

    def _make_plan(
        self, budget_bytes: int, window_bytes: int | None = None, pinned: frozenset[int] | None = None
    ) -> Plan:
        pinned = self._pinned if pinned is None else pinned
        return make_plan(
            [weight.weight for weight in self.weights],
            budget_bytes=budget_bytes,
            order=self.uses_order,
            io_threads=self.options.io_threads,
            groups=self.groups,
            window_bytes=window_bytes,
            keep_resident=self.options.keep_resident | pinned,
        )

    def replan(self, budget_bytes: int | None = None, window_bytes: int | None = None) -> None:
        """Change to a plan for another budget or window, between passes.

        Raises:
            BudgetTooSmall: no plan fits; nothing has changed then.
            StoreError: weights that now are resident cannot be read; they stay streamed until the next pass tries again.
        """
        with self.lock:
            self._check_open()
            wanted = self.budget_bytes if budget_bytes is None else budget_bytes
            effective = wanted if budget_bytes is not None else self._effective_bytes
            plan = self._make_plan(effective, window_bytes)
            self._refuse_losing_changes(plan)
            self.budget_bytes, self._effective_bytes = wanted, effective
            self._needs_plan = True
            self._uninstall(plan)
            self._install(plan, keep_tuner=window_bytes is not None)
            self.replans += 1

    def _refuse_losing_changes(self, plan: Plan) -> None:
        for weight in self.weights:
            stays = all(piece.index in plan.resident for piece in weight.pieces(plan))
            if weight.was_written and not stays:
                raise StoreError(
                    f"weight {weight.name!r} was changed in memory, and the new plan would drop it",
                    hint="restore(model) keeps the change; or keep the weight resident with Config(keep_resident=...)",
                )

    def _uninstall(self, plan: Plan) -> None:
        """Free what `plan` does not keep, and the whole window."""
        loader = self._loader
        loader.drain()
        self._retained.clear()
        counts = loader.settled_counts()
        self._past = _added(self._past, counts)
        self._past_misses += loader.misses
        self._past_wasted += loader.wasted
        loader.close()
        self.account.give_back("window")
        self.account.give_back("staging")
        for weight in self.weights:
            rows = {(piece.first_row, piece.last_row) for piece in weight.pieces(plan) if piece.index in plan.resident}
            is_kept = rows == {(piece.first_row, piece.last_row) for piece in weight.pieces(plan)}
            if weight.resident is not None and not is_kept:
                weight.forget()
            if weight.tiles and (is_kept or not rows >= set(weight.tiles)):
                weight.forget()
        self._account_residents()

    def _install(self, plan: Plan, *, keep_tuner: bool = False) -> None:
        """Bring the resident weights of `plan` into memory and begin to stream the others."""
        self.plan = plan
        lookahead = {
            PrefetchStrategy.NONE: 0,
            PrefetchStrategy.NEXT_LAYER: 1,
            PrefetchStrategy.ADAPTIVE: None,
        }[self.options.strategy]
        loader = Loader(plan, self._resources.backend, threads=self.options.io_threads, lookahead=lookahead)
        self._resources.loader = loader
        fills: list[tuple[Piece, Tensor]] = []
        done: list[Callable[[], None]] = []
        for weight in self.weights:
            self._fill(weight, plan, fills, done)
        self.account.set("resident", plan.resident_bytes)
        loader.fetch_now(fills, room_bytes=plan.window_bytes + plan.budget_bytes - plan.reserved_bytes)
        for finish in done:
            finish()
        self.account.set("window", plan.window_bytes)
        self.account.set("staging", plan.staging_bytes)
        self.wiring.rewire(self, plan)
        loader.start()
        if not keep_tuner:
            grows = (
                self.options.strategy is PrefetchStrategy.ADAPTIVE
                and self.options.pressure_mode is not MemoryPressureMode.CONSERVATIVE
                and plan.window_bytes > 0
            )
            most = (plan.budget_bytes - plan.staging_bytes) // 2
            self._tuner = WindowTuner(window_bytes=plan.window_bytes, most_bytes=most) if grows else None
        self._needs_plan = False

    def _fill(
        self,
        weight: LiveWeight,
        plan: Plan,
        fills: list[tuple[Piece, Tensor]],
        done: list[Callable[[], None]],
    ) -> None:
        """Note what of `weight` must be read to be resident, and what to do once it is."""
        if weight.resident is not None:
            return
        allocate = self._resources.backend.allocate
        kept = [piece for piece in weight.pieces(plan) if piece.index in plan.resident]
        if len(kept) == len(weight.pieces(plan)):
            flat = allocate(weight.weight.nbytes).view(weight.weight.dtype)
            whole = Piece(index=-1, weight=weight.weight, first_row=0, last_row=kept[-1].last_row)
            fills.append((whole, flat))
            done.append(lambda: weight.keep(weight.shaped(flat)))
            return
        for piece in kept:
            rows = (piece.first_row, piece.last_row)
            if rows in weight.tiles:
                continue
            flat = allocate(piece.nbytes).view(weight.weight.dtype)
            fills.append((piece, flat))
            done.append(lambda rows=rows, tile=flat.view(piece.shape): weight.tiles.update({rows: tile}))  # type: ignore[misc]

    def _account_residents(self) -> None:
        held = sum(weight.resident.numel() * weight.resident.itemsize for weight in self.weights if weight.resident is not None)
        held += sum(tile.numel() * tile.itemsize for weight in self.weights for tile in weight.tiles.values())
        self.account.set("resident", held)

    def _relieve(self) -> None:
        """Give memory back, or take it again, as pressure from outside asks."""
        change = self._valve.judge(budget_bytes=self.budget_bytes, effective_bytes=self._effective_bytes)
        if change is None:
            return
        if change.smallest_window:
            self.replan(window_bytes=0)
            return
        try:
            self._make_plan(change.effective_bytes)
        except OutgrowError:
            return
        self._effective_bytes = change.effective_bytes
        self.replan()

    # -- the rest -------------------------------------------------------------------------------------------------

    @property
    def _loader(self) -> Loader:
        loader = self._resources.loader
        assert loader is not None
        return loader

    @property
    def is_open(self) -> bool:
        """Whether the stream runs."""
        return self._finalizer.alive

    @property
    def effective_bytes(self) -> int:
        """The budget that the plan keeps now; below the one given while memory is short."""
        return self._effective_bytes

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._resources.backend.device

    def counts(self) -> LoaderCounts:
        """What was read and waited for since the beginning."""
        return _added(self._past, self._loader.settled_counts())

    @property
    def misses(self) -> int:
        """Pieces that nobody had fetched when they were needed."""
        return self._past_misses + self._loader.misses

    @property
    def wasted(self) -> int:
        """Pieces that were fetched and not used."""
        return self._past_wasted + self._loader.wasted

    def bring_back(self) -> None:
        """Read every weight into memory for good and stop streaming.

        Raises:
            StoreError: a file cannot be read; nothing has changed then.
        """
        with self.lock:
            self._check_open()
            check_unchanged(self.identities)
            fills, done = [], []
            for weight in self.weights:
                if weight.resident is not None:
                    continue
                flat = self._resources.backend.allocate(weight.weight.nbytes).view(weight.weight.dtype)
                rows = weight.shape[0] if weight.shape else 1
                fills.append((Piece(index=-1, weight=weight.weight, first_row=0, last_row=rows), flat))
                done.append((weight, flat))
            self._loader.fetch_now(fills, room_bytes=self._spare_bytes())
            for weight, flat in done:
                weight.keep(weight.shaped(flat))
            self.wiring.unwire()
            self.close()

    def close(self) -> None:
        """Stop streaming and give everything back; weights that are not resident cannot be read afterwards."""
        with self.lock:
            self._finalizer()
            self._mapped.clear()
            self._retained.clear()

    def _spare_bytes(self) -> int:
        return max(self.plan.budget_bytes - self.plan.reserved_bytes, 1 << 20)

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise OutgrowError("this model's weights are no longer streamed: its stream was closed")

    def is_gathered(self, weight: LiveWeight) -> bool:
        """Whether single rows of it are read, and never all of it."""
        return weight.weight.use is Use.GATHER and weight.is_streamed


def _added(one: LoaderCounts, other: LoaderCounts) -> LoaderCounts:
    return LoaderCounts(
        bytes_read=one.bytes_read + other.bytes_read,
        stalls=one.stalls + other.stalls,
        stall_seconds=one.stall_seconds + other.stall_seconds,
        busy_seconds=one.busy_seconds + other.busy_seconds,
        idle_seconds=one.idle_seconds + other.idle_seconds,
        fetches=one.fetches + other.fetches,
    )
