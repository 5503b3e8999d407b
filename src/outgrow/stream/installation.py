"""The plan that a stream keeps, carried out: what is in memory, who reads, and the change from one plan to
the next."""

__all__ = ["ChangesWouldGo", "Installation"]

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from outgrow.devices.memory import MemoryGauge, release_freed_memory
from outgrow.errors import OutgrowError, StoreError
from outgrow.events import Listener, Progress
from outgrow.interrupts import let_interrupts_through
from outgrow.quantities import format_bytes
from outgrow.store.checkpoint import FileIdentity
from outgrow.stream.account import Account
from outgrow.stream.backends.backend import Backend
from outgrow.stream.config import MemoryPressureMode, PrefetchStrategy
from outgrow.stream.live_weight import LiveWeight, ordinary_tensors
from outgrow.stream.loader import Loader
from outgrow.stream.plan import Plan, make_plan
from outgrow.stream.pressure import PressureValve
from outgrow.stream.residents import Arrivals, arrivals, forget_others, held_bytes
from outgrow.stream.resources import Resources
from outgrow.stream.stream_options import StreamOptions
from outgrow.stream.weights import Piece, Weight
from outgrow.stream.whole import WeightFiles, has_equal_bits
from outgrow.stream.window_size import WindowTuner
from outgrow.stream.window_use import WindowUse

_LOG = logging.getLogger(__name__)

PROGRESS_BYTES = 1 << 28
"""Resident weights are read in batches of about this size; after each, a listener hears how far it is."""


class ChangesWouldGo(StoreError):
    """Somebody changed weights in memory, and a plan would have them leave it."""

    def __init__(
        self, message: str, *, hint: str | None = None, weights: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(message, hint=hint)
        self.weights = weights
        """Their indices."""


class Installation:
    """Makes plans and carries them out. Not thread-safe: callers hold the stream's lock, and no module
    runs."""

    def __init__(
        self,
        weights: Sequence[LiveWeight],
        *,
        budget_bytes: int,
        options: StreamOptions,
        groups: Sequence[Sequence[int]],
        use_order: Sequence[int],
        identities: Mapping[Path, FileIdentity],
        resources: Resources,
        rewire: Callable[[Plan], None],
        listener: Listener,
    ) -> None:
        """Make the first plan; `install` carries it out.

        Args:
            weights: all weights, by index.
            budget_bytes: the budget given.
            options: how to stream.
            groups: weights that are in use at the same time.
            use_order: the order in which a pass is assumed to use weights.
            identities: the files, as they were opened.
            resources: for the device that computes.
            rewire: called with each new plan, to wrap the modules that it needs wrapped.
            listener: hears `Progress` while resident weights are read.

        Raises:
            BudgetTooSmall: no plan fits.
        """
        self.weights = weights
        self.options = options
        self.listener = listener
        self.account = Account()
        self.files = WeightFiles(identities)
        self.resources = resources
        self.use = WindowUse(resources)
        self.use_order = tuple(use_order)
        self.budget_bytes = budget_bytes
        self.effective_bytes = budget_bytes
        """The budget that the plan keeps now; below the one given while memory is short outside."""
        self.replans = 0
        self.needs_plan = False
        """Whether the present state must not be relied on: the next pass begins with a new plan."""
        self._groups = groups
        self._rewire = rewire
        self._pinned: frozenset[int] = frozenset()
        self._too_small_bytes = 0
        self._wanted_window: int | None = None
        self._tuner: WindowTuner | None = None
        self._valve = PressureValve(options.pressure_mode, MemoryGauge())
        self.plan = self._make_plan(budget_bytes)

    @ordinary_tensors()
    def install(self, plan: Plan, *, keep_tuner: bool = False) -> None:
        """Bring the resident weights of `plan` into memory and begin to stream the others.

        Raises:
            StoreError: a weight cannot be read.
        """
        self.plan = plan
        backend = self.resources.backend
        options = self.options
        loader = Loader(plan, backend, threads=options.io_threads, lookahead=options.lookahead)
        self.resources.loader = loader
        coming = arrivals(self.weights, plan, backend.allocate)
        self.account.set("resident", plan.resident_bytes)
        self._fetch(coming, plan.window_bytes + plan.budget_bytes - plan.reserved_bytes)
        for finish in coming.finishes:
            finish()
        self.account.set("window", plan.window_bytes)
        self.account.set("staging", plan.counted_staging_bytes)
        self._rewire(plan)
        loader.start()
        if not keep_tuner:
            self._tuner = self._make_tuner(plan)
        self.needs_plan = False
        if self.options.checks:
            stays, streams = format_bytes(plan.resident_bytes), format_bytes(plan.pass_bytes)
            window = format_bytes(plan.window_bytes)
            _LOG.debug("plan: %s stay, %s stream per pass, window %s", stays, streams, window)

    def replan(self, budget_bytes: int | None = None, window_bytes: int | None = None) -> None:
        """Change to a plan for another budget or window.

        Raises:
            BudgetTooSmall: no plan fits; nothing has changed then.
            StoreError: weights that now are resident cannot be read; they stay streamed until the next pass
                tries again. Or one that was changed in memory would have to leave it; nothing has changed
                then.
        """
        effective = self.effective_bytes if budget_bytes is None else budget_bytes
        plan = self._make_plan(effective, window_bytes)
        self._refuse_losing_changes(plan, changing=frozenset())
        self.budget_bytes = self.budget_bytes if budget_bytes is None else budget_bytes
        self.effective_bytes = effective
        self._change_to(plan, keep_tuner=window_bytes is not None)

    def exchange(
        self, statics: Mapping[int, Weight], identities: Mapping[Path, FileIdentity], *, drop_changes: bool
    ) -> None:
        """Give weights other bytes or another dtype: `statics` are their new descriptions, by index.

        With `drop_changes`, what somebody wrote to the old bytes in memory goes with them.

        Raises:
            BudgetTooSmall: no plan fits; nothing has changed then.
        """
        everything = [statics.get(weight.weight.index, weight.weight) for weight in self.weights]
        plan = self._make_plan(self.effective_bytes, statics=everything)
        changing = frozenset(statics)
        self._refuse_losing_changes(
            plan, changing=changing, dropping=changing if drop_changes else frozenset()
        )

        def change() -> None:
            known = {**self.files.identities, **identities}
            used = {segment.path for weight in everything for segment in weight.source.segments}
            self.files = WeightFiles({path: known[path] for path in known if path in used or not used})
            for weight in self.weights:
                if weight.weight.index in statics:
                    weight.redescribe(statics[weight.weight.index], self.resources.backend.device)

        self._change_to(plan, change=change)

    def move(self, resources: Resources) -> None:
        """Compute on another device from now on: `resources` are made for it; the old ones are closed.

        Raises:
            BudgetTooSmall: no plan fits there; nothing has changed then.
        """
        # What is copied to another device lies at the start of memory of its own there.
        statics = [replace(weight.weight, phase=0) for weight in self.weights]
        plan = self._make_plan(self.effective_bytes, statics=statics, backend=resources.backend)
        self._refuse_losing_changes(plan, changing=frozenset(weight.weight.index for weight in self.weights))
        old = self.resources

        def change() -> None:
            self.resources = resources
            self.use = WindowUse(resources)
            for weight in self.weights:
                weight.redescribe(statics[weight.weight.index], resources.backend.device)

        self._change_to(plan, change=change)
        old.close()

    def note_use_order(self, order: Sequence[int]) -> None:
        """The true order of use, as the first pass showed it; planned again where it uses other weights than
        assumed."""
        pieces, seen = self.plan.pieces, set(order)
        # Weights whose module nobody called, but that came through the window all the same.
        traced = dict.fromkeys(pieces[index].weight.index for index in self.use.trace)
        order = [*order, *(index for index in traced if index not in seen)]
        if Counter(order) != Counter(self.use_order):
            self.needs_plan = True
        self.use_order = tuple(order)

    def follow_trace(self) -> None:
        """Fetch ahead in the order of the pass that has just ended."""
        trace, loader = self.use.trace, self.resources.loader
        if trace and self.options.strategy is not PrefetchStrategy.NONE and tuple(trace) != loader.order:
            loader.set_order(trace)

    def adapt_window(self, *, pass_seconds: float, stall_seconds: float, idle_seconds: float) -> None:
        """Let the next pass begin with another window where the last one shows that it is worth it."""
        if self._tuner is None or self.needs_plan or self._valve.is_tight:
            return
        window = self._tuner.observe(
            pass_seconds=pass_seconds, stall_seconds=stall_seconds, idle_seconds=idle_seconds
        )
        # Not now: gradient checkpointing runs modules again after the pass and must find them as they were.
        self._wanted_window = window

    def renew(self) -> None:
        """Change the plan where something since the last pass asks for it; the next one is about to begin."""
        self._relieve()
        window, self._wanted_window = self._wanted_window, None
        try:
            if self.needs_plan:
                self.replan()
            elif window is not None:
                self.replan(window_bytes=window)
        except ChangesWouldGo as err:
            # Nobody asked for another plan: what somebody changed in memory simply stays there from now on.
            self._pinned |= err.weights
            self.replan()

    def pin(self, outside: frozenset[int]) -> None:
        """Keep weights in memory from the next pass on that were read outside their modules, where they
        fit."""
        wish = self._pinned | outside
        if wish == self._pinned:
            return
        try:
            self._make_plan(self.effective_bytes, pinned=wish)
        except OutgrowError as err:
            # They go on being read from their files: right, only slower.
            _LOG.info("weights read outside their modules do not fit into memory: %s", err)
            return
        self._pinned = wish
        self.needs_plan = True

    def _relieve(self) -> None:
        """Give memory back, or take it again, as pressure from outside asks."""
        change = self._valve.judge(budget_bytes=self.budget_bytes, effective_bytes=self.effective_bytes)
        if change is None:
            return
        if change.smallest_window:
            with contextlib.suppress(ChangesWouldGo):
                self.replan(window_bytes=0)
            return
        if change.effective_bytes <= self._too_small_bytes:
            # Known not to work: finding out again, at every look, would cost more than it can give.
            return
        try:
            self._make_plan(change.effective_bytes)
        except OutgrowError as err:
            self._too_small_bytes = change.effective_bytes
            _LOG.info("memory is short, but the weights need what they have: %s", err)
            return
        before, self.effective_bytes = self.effective_bytes, change.effective_bytes
        try:
            self.replan()
        except ChangesWouldGo as err:
            self.effective_bytes, self._too_small_bytes = before, change.effective_bytes
            _LOG.info("memory is short, but not to be had: %s", err)

    @ordinary_tensors()
    def bring_everything(self) -> None:
        """Read every weight into memory for good, whatever the budget.

        Raises:
            StoreError: a file cannot be read; nothing has changed then.
        """
        coming = arrivals(self.weights, None, self.resources.backend.allocate)
        self._fetch(coming, self.spare_bytes)
        self.use.forget()
        for finish in coming.finishes:
            finish()

    @property
    def spare_bytes(self) -> int:
        """Memory for reads that are nobody's plan."""
        return max(self.plan.budget_bytes - self.plan.reserved_bytes, 1 << 20)

    def _make_plan(
        self,
        budget_bytes: int,
        window_bytes: int | None = None,
        *,
        pinned: frozenset[int] | None = None,
        statics: Sequence[Weight] | None = None,
        backend: Backend | None = None,
    ) -> Plan:
        backend = backend or self.resources.backend
        return make_plan(
            [weight.weight for weight in self.weights] if statics is None else statics,
            budget_bytes=budget_bytes,
            order=self.use_order,
            io_threads=self.options.io_threads,
            groups=self._groups,
            window_bytes=window_bytes,
            keep_resident=self.options.keep_resident | (self._pinned if pinned is None else pinned),
            in_place=backend.in_place,
            staged_bytes=backend.staged_chunk_bytes,
        )

    @ordinary_tensors()
    def _change_to(
        self, plan: Plan, *, keep_tuner: bool = False, change: Callable[[], None] | None = None
    ) -> None:
        """Free what `plan` does not keep and the whole window, do `change`, and go on with `plan`."""
        self.needs_plan = True
        self.use.forget()
        if self.resources.has_loader:
            self.resources.retire_loader()
        self.account.give_back("window")
        self.account.give_back("staging")
        if change is not None:
            change()
        forget_others(self.weights, plan)
        release_freed_memory()
        self.account.set("resident", held_bytes(self.weights))
        self.install(plan, keep_tuner=keep_tuner)
        self.replans += 1

    def _refuse_losing_changes(
        self, plan: Plan, *, changing: frozenset[int], dropping: frozenset[int] = frozenset()
    ) -> None:
        going: dict[int, str] = {}
        for weight in self.weights:
            let_interrupts_through()
            index = weight.weight.index
            stays = index not in changing and all(
                piece.index in plan.resident for piece in plan.pieces_of[index]
            )
            if not stays and index not in dropping and self.was_changed(weight):
                going[index] = weight.name
        if going:
            name = next(iter(going.values()))
            raise ChangesWouldGo(
                f"weight {name!r} was changed in memory, and the new plan would drop the change",
                hint="restore(model) keeps it; so does Config(keep_resident=...)",
                weights=frozenset(going),
            )

    def was_changed(self, weight: LiveWeight) -> bool:
        """Whether a resident weight is no longer what its file holds. Writes through `.data` leave no other
        trace."""
        if weight.resident is None or weight.was_written or not self.files.can_map(weight):
            return weight.was_written
        on_disk = self.files.map(weight, is_given_away=True).to(weight.resident.device)
        return not has_equal_bits(weight.resident, on_disk)

    def _fetch(self, coming: Arrivals, room_bytes: int) -> None:
        """Read what is to become resident, batch by batch, so that progress shows."""
        total, done = sum(piece.nbytes for piece, _ in coming.fills), 0
        batch: list[tuple[Piece, Tensor]] = []
        size = 0
        for number, (piece, memory) in enumerate(coming.fills, 1):
            batch.append((piece, memory))
            size += piece.nbytes
            if size < PROGRESS_BYTES and number < len(coming.fills):
                continue
            self.listener(Progress(task="reading weights", done=done, total=total, item=piece.weight.name))
            self.resources.loader.fetch_now(batch, room_bytes=room_bytes)
            done += size
            batch, size = [], 0
        if total:
            self.listener(Progress(task="reading weights", done=done, total=total))

    def _make_tuner(self, plan: Plan) -> WindowTuner | None:
        is_fixed = self.options.strategy is not PrefetchStrategy.ADAPTIVE or not plan.window_bytes
        if is_fixed or self.options.pressure_mode is MemoryPressureMode.CONSERVATIVE:
            return None
        most_bytes = (plan.budget_bytes - plan.counted_staging_bytes) // 2
        return WindowTuner(window_bytes=plan.window_bytes, most_bytes=most_bytes)
