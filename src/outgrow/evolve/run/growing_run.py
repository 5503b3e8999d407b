"""A run from its first step to the test: train, ask the policy, change the model, write everything down."""

__all__ = ["ARCHIVE_NAME", "RunResult", "grow"]

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outgrow.evolve.archive import save
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.data import Pictures, open_data
from outgrow.evolve.errors import NotExact, SiteNotFound, SiteRefused
from outgrow.evolve.measures.cost import Cost
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.policy import Budget, Candidate, Decision, Policy, Situation
from outgrow.evolve.run.batch_order import BatchOrder, batch_at
from outgrow.evolve.run.configuration import RunConfiguration
from outgrow.evolve.run.layers import LayerNumbers
from outgrow.evolve.run.policy_choice import make_policy
from outgrow.evolve.run.run_folder import RunFolder, open_run_folder
from outgrow.evolve.run.training import LossNotFinite, Training, judge

ARCHIVE_NAME = "model.safetensors"
"""The finished model in the run's folder, for `evolve.load`."""
_FIRST, _LAST = 0.05, 0.5
"""Shares of the budget between which the policy is asked."""
_TRAINING_BATCHES = 32
"""What a policy may train its forks on."""
_VALIDATION_SAMPLES = 2_000
"""What it may judge them on."""
_VALIDATION_BATCHES = 8
"""In so many parts: what an arm gains is paired batch by batch."""
_SECONDS_BETWEEN_CHECKPOINTS = 5.0

Entry = Mapping[str, Any]
Listener = Callable[[Entry], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came out of a run."""

    entries: tuple[Entry, ...]
    """Its whole log."""
    folder: Path
    """Where it lies."""

    @property
    def test(self) -> Entry:
        """The last entry: what the model is worth on the test split."""
        return self.entries[-1]


def grow(
    configuration: RunConfiguration,
    folder: str | Path,
    *,
    listener: Listener = lambda _entry: None,
    policy: Policy | None = None,
    checkpoint_seconds: float = _SECONDS_BETWEEN_CHECKPOINTS,
) -> RunResult:
    """Train a model that changes while it trains, and write everything into `folder`.

    Where `folder` holds a run of this configuration already, it goes on from its last checkpoint, and comes
    out bit for bit as if it had never been stopped; a finished run is only read. Accuracy is measured on the
    validation split; the test split is opened once, when all is done.

    Args:
        configuration: what to do.
        folder: made if it is not there.
        listener: hears each entry of the log as it is written.
        policy: in place of the one that `configuration` names; it must be the same when the run goes on.
        checkpoint_seconds: the least time between two checkpoints; there is one before and after each change.

    Raises:
        InputError: the folder holds something else, or data, model or policy cannot be used.
        StoreLocked: another process is at work in it.
        LossNotFinite: the loss is NaN and no change can be blamed; the last checkpoint stays.
        StoreError: the disk is full or damaged.
    """
    with open_run_folder(Path(folder), configuration) as place:
        if place.is_finished:
            return RunResult(entries=place.entries(), folder=place.path)
        pictures = open_data(
            configuration.data,
            folder=configuration.data_folder,
            seed=configuration.seed,
            train=configuration.train,
        )
        place.check_data(pictures.digest, pictures.shape, pictures.classes)
        run = _Run(
            configuration,
            pictures,
            place,
            policy or make_policy(configuration.policy),
            listener,
            checkpoint_seconds,
        )
        run.go_on()
        return RunResult(entries=place.entries(), folder=place.path)


class _Run:
    def __init__(
        self,
        configuration: RunConfiguration,
        pictures: Pictures,
        place: RunFolder,
        policy: Policy,
        listener: Listener,
        checkpoint_seconds: float,
    ) -> None:
        self._configuration, self._pictures, self._place = configuration, pictures, place
        self._policy, self._listener = policy, listener
        self._checkpoint_seconds = checkpoint_seconds
        self._training = Training(configuration, pictures)
        state = place.last_state()
        if state is not None:
            self._training.restore(state)
        entries = self._training.progress.entries
        self._numbers = LayerNumbers(entries[-1]["layers"] if entries else ())
        place.begin_log(entries)
        self._began = self._saved_at = time.monotonic()

    def go_on(self) -> None:
        """Train until the budget is spent, then test."""
        training = self._training
        if not training.progress.entries:
            self._evaluate()
            self._save()
        while training.progress.entries[-1]["kind"] != "test":
            try:
                if not training.progress.is_trained:
                    self._advance()
                    continue
                self._evaluate()
                self._save()
            except LossNotFinite as err:
                self._blame(err)
            else:
                self._test()
        self._finish()

    def _advance(self) -> None:
        """Do what comes next."""
        training = self._training
        if training.is_spent:
            training.progress.is_trained = True
        elif self._is_due(training.progress.asked, self._decision_at):
            self._decide()
        elif self._is_due(training.progress.evaluated, self._evaluation_at):
            self._evaluate()
            if time.monotonic() - self._saved_at >= self._checkpoint_seconds:
                self._save()
        else:
            training.step()

    # When

    def _is_due(self, done: int, share_at: Callable[[int], float | None]) -> bool:
        share = share_at(done)
        spent = self._training.progress.spent
        return share is not None and spent >= share * self._configuration.budget_flops

    def _decision_at(self, number: int) -> float | None:
        count = self._configuration.decisions
        if number >= count:
            return None
        return _FIRST + (_LAST - _FIRST) * number / max(count - 1, 1)

    def _evaluation_at(self, number: int) -> float | None:
        return number / self._configuration.evaluations

    # What

    def _evaluate(self) -> None:
        training, progress = self._training, self._training.progress
        loss, accuracy = judge(training.model, self._pictures.validation, training.device)
        trained = progress.loss_sum / progress.loss_count if progress.loss_count else None
        progress.loss_sum, progress.loss_count = 0.0, 0
        while self._is_due(progress.evaluated, self._evaluation_at):
            progress.evaluated += 1
        self._note("evaluation", loss=loss, accuracy=accuracy, training_loss=trained)

    def _decide(self) -> None:
        training, progress = self._training, self._training.progress
        self._evaluate()
        number = progress.asked
        if number in progress.refused:
            decision = Decision(candidate=None, reason="the loss was no number after the change made here")
        else:
            decision = self._policy.decide(self._situation(number))
        progress.asked += 1
        progress.spent += decision.flops
        progress.deciding += decision.flops
        candidate, reason, edit = decision.candidate, decision.reason, None
        if candidate is not None:
            # Before the change, so that a loss that becomes NaN can be answered by leaving it out.
            progress.asked -= 1
            self._place.keep_before_change(training.state())
            progress.asked += 1
            try:
                edit = apply_candidate(
                    candidate,
                    training.model,
                    training.example,
                    followers=Followers(optimizer=training.optimizer),
                    seed=self._seed(number),
                )
            except (SiteRefused, SiteNotFound, NotExact) as err:
                reason = f"{reason}; refused: {err.message}"
            else:
                training.edits.append(edit)
                training.cost = training.measure()
        self._note(
            "decision",
            number=number,
            candidate=None if candidate is None else dataclasses.asdict(candidate),
            is_made=edit is not None,
            label="nothing" if candidate is None else candidate.label,
            reason=reason,
            evidence=dict(decision.evidence),
            decision_flops=decision.flops,
            promise=None if edit is None else edit.promise,
            change=None if edit is None else edit.change,
        )
        self._save()

    def _situation(self, number: int) -> Situation:
        training, configuration = self._training, self._configuration
        order = BatchOrder(self._pictures.train, seed=self._seed(number), batch_size=configuration.batch_size)
        held = self._pictures.validation
        count = min(len(held), _VALIDATION_SAMPLES)
        size = -(-count // _VALIDATION_BATCHES)
        return Situation(
            model=training.model,
            inputs=training.example,
            training=[order.next().to(training.device) for _ in range(_TRAINING_BATCHES)],
            validation=[
                batch_at(held, slice(start, min(start + size, count))).to(training.device)
                for start in range(0, count, size)
            ],
            followers=Followers(optimizer=training.optimizer),
            budget=Budget(
                flops=configuration.budget_flops,
                spent=training.progress.spent,
                parameters=configuration.max_parameters,
            ),
            history=tuple(
                _decision_from(entry) for entry in training.progress.entries if entry["kind"] == "decision"
            ),
            seed=self._seed(number),
        )

    def _seed(self, number: int) -> int:
        return self._configuration.seed * 10_007 + number

    def _blame(self, error: LossNotFinite) -> None:
        """Go back to before the last change and leave it out, where there was one.

        Raises:
            LossNotFinite: there was none, or it was left out already.
        """
        progress = self._training.progress
        made = [entry for entry in progress.entries if entry["kind"] == "decision" and entry["is_made"]]
        state = self._place.state_before_change() if made else None
        if state is None or state.progress.asked in progress.refused:
            raise error
        entries, spent, refused = progress.entries, progress.spent, progress.refused
        deciding, seconds = progress.deciding, progress.seconds
        self._training.restore(state)
        now = self._training.progress
        self._numbers = LayerNumbers(now.entries[-1]["layers"])
        # What was spent stays spent, and what was logged stays logged.
        now.entries, now.spent, now.deciding, now.seconds = entries, spent, deciding, seconds
        now.refused = [*refused, now.asked]
        self._note("rollback", number=now.asked, label=made[-1]["label"], reason=error.message)
        self._save()

    def _test(self) -> None:
        loss, accuracy = judge(self._training.model, self._pictures.open_test(), self._training.device)
        self._note("test", loss=loss, accuracy=accuracy)
        self._save()

    def _finish(self) -> None:
        save(
            self._training.model,
            self._place.path / ARCHIVE_NAME,
            edits=self._training.edits,
            example_inputs=self._training.example,
            overwrite=True,
        )
        self._place.finish()

    # Written down

    def _note(self, kind: str, **figures: Any) -> None:
        training, progress = self._training, self._training.progress
        entry = {
            "kind": kind,
            "steps": progress.steps,
            "samples": progress.samples,
            "flops": progress.spent,
            "seconds": progress.seconds + time.monotonic() - self._began,
            "parameters": training.cost.parameters,
            "forward_flops": training.cost.flops,
            "layers": self._numbers.entries(training.model),
            **figures,
        }
        # As it will be read again, so that a run that goes on has the same history.
        entry = self._place.append(entry)
        progress.entries.append(entry)
        self._listener(entry)

    def _save(self) -> None:
        now = time.monotonic()
        self._training.progress.seconds += now - self._began
        self._began = self._saved_at = now
        self._place.keep(self._training.state())


def _decision_from(entry: Entry) -> Decision:
    held = entry["candidate"]
    candidate = None
    if held is not None:
        candidate = Candidate(**{**held, "cost": Cost(**held["cost"])})
    return Decision(
        candidate=candidate,
        reason=entry["reason"],
        evidence=entry["evidence"],
        flops=entry["decision_flops"],
    )
