"""Forks begin alike, tell what came of them, and leave nothing behind."""

import random

import pytest
import torch
from torch import Tensor, nn, optim

from outgrow import evolve
from outgrow.errors import InputError


class Training:
    def __init__(self) -> None:
        torch.manual_seed(2)
        self.model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 4))
        self.optimizer = optim.AdamW(self.model.parameters(), lr=0.05)
        self.batches = list(torch.randn(6, 8, 4))
        self.train(self.batches[:2])

    def step(self, batch: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = (self.model(batch) - batch).square().mean() * (1 + random.random())
        loss.backward()
        self.optimizer.step()
        return loss

    def train(self, batches: list[Tensor]) -> list[float]:
        return [self.step(batch).item() for batch in batches]

    def widen(self, by: int = 2) -> evolve.Edit:
        return evolve.widen(self.model, "0", by=by, example_inputs=self.batches[0], optimizer=self.optimizer)

    def forks(self, arms: dict[str, object], **given: object) -> dict[str, evolve.Fork]:
        given = {"train_step": self.step, "batches": iter(self.batches)} | given
        return evolve.paired_forks(self.model, arms, optimizer=self.optimizer, **given)

    def held(self) -> str:
        return str(
            (self.model.state_dict(), self.optimizer.state_dict(), torch.get_rng_state(), random.getstate())
        )


def test_arms_that_do_the_same_give_the_same_and_are_what_training_gives():
    training = Training()
    before = training.held()
    forks = training.forks(
        {"none": None, "again": None, "wider": training.widen, "wider again": training.widen}
    )
    assert training.held() == before
    assert forks["none"].losses == forks["again"].losses
    assert forks["wider"].losses == forks["wider again"].losses
    assert forks["wider"].losses != forks["none"].losses
    assert list(forks["none"].losses) == training.train(training.batches)
    assert forks["none"].edit is None
    assert forks["wider"].edit.operator == "widen"
    assert all(fork.failure is None and fork.seconds > 0 for fork in forks.values())


def test_an_arm_that_draws_random_numbers_trains_with_the_same_ones():
    training = Training()
    forks = training.forks({"none": None, "draws": lambda: (torch.rand(3), random.random())})
    assert forks["none"].failure is None
    assert forks["none"].losses == forks["draws"].losses


def test_measure_is_called_behind_the_last_step_of_each_arm():
    training = Training()
    widths = training.forks(
        {"none": None, "wider": lambda: training.widen(3)},
        measure=lambda: (training.model[0].out_features, len(training.optimizer.state)),
    )
    assert {name: fork.measured for name, fork in widths.items()} == {"none": (6, 4), "wider": (9, 4)}
    assert training.model[0].out_features == 6


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("no room"), "OutOfMemoryError"),
        (MemoryError(), "MemoryError"),
        (ValueError("mine"), "ValueError"),
    ],
)
def test_a_failing_arm_is_told_and_the_others_go_on(error, kind):
    training = Training()
    before = training.held()

    def step(batch: Tensor) -> Tensor:
        if training.model[0].out_features == 8 and batch is training.batches[3]:
            raise error
        return training.step(batch)

    forks = training.forks({"wider": training.widen, "none": None}, train_step=step)
    assert training.held() == before
    assert forks["wider"].failure.kind == kind
    assert forks["wider"].failure.text == str(error)
    assert "def" not in forks["wider"].failure.text
    assert "in step" in forks["wider"].failure.traceback
    assert len(forks["wider"].losses) == 3
    assert len(forks["none"].losses) == 6


def test_a_loss_that_is_nan_ends_an_arm():
    training = Training()
    before = training.held()

    def ruin() -> None:
        training.model[0].weight.data.fill_(float("nan"))

    forks = training.forks({"ruined": ruin})
    assert forks["ruined"].failure.kind == "NotFinite"
    assert forks["ruined"].losses == ()
    assert training.held() == before


def test_an_edit_that_is_refused_is_told():
    training = Training()
    forks = training.forks({"refused": lambda: training.widen(-1)})
    assert forks["refused"].failure is not None
    assert forks["refused"].edit is None


def test_a_step_that_gives_no_loss_is_told():
    training = Training()
    forks = training.forks({"none": None}, train_step=lambda batch: None)
    assert "train_step gave a NoneType" in forks["none"].failure.text


def test_ctrl_c_is_raised_after_everything_was_put_back():
    training = Training()
    before = training.held()

    def step(batch: Tensor) -> Tensor:
        training.step(batch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.forks({"wider": training.widen}, train_step=step)
    assert training.held() == before


def test_no_batches_are_refused():
    training = Training()
    with pytest.raises(InputError, match="no batches"):
        training.forks({"none": None}, batches=iter(()))


def test_a_fork_of_a_transaction_begins_where_the_transaction_stands():
    training = Training()
    before = training.held()
    with evolve.transaction(training.model, optimizer=training.optimizer) as change:
        same = change.fork(training.step, training.batches)
        training.widen()
        here = training.held()
        wider = change.fork(training.step, training.batches)
        assert training.held() == here
        bad = change.fork(training.step, training.batches, edit=lambda: 1 / 0)
        assert bad.failure.kind == "ZeroDivisionError"
        assert same.losses != wider.losses
        assert list(wider.losses) == training.train(training.batches)
        change.rollback()
    assert training.held() == before
    assert list(same.losses) == training.train(training.batches)
