"""A run trains, changes the model, and comes out the same however often it is stopped."""

import json
import math
import subprocess
import sys

import pytest
import torch

from outgrow.errors import InputError, OutgrowError
from outgrow.evolve import sites
from outgrow.evolve.archive import ArchiveCorrupt, load
from outgrow.evolve.policies.policy import Candidate, Decision
from outgrow.evolve.run import (
    POLICY_NAMES,
    LossNotFinite,
    grow,
    growing_run,
    read_log,
    read_run,
    replay_run,
    training,
)
from outgrow.store import lock_directory
from outgrow.store.lock import StoreLocked
from tests.evolve.run.tiny import Widening, configuration


def facts(entries):
    """A log without the times, which differ."""
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbed: its result, its log as it was heard, and the bytes of its model."""
    folder = tmp_path_factory.mktemp("whole")
    heard = []
    result = grow(configuration(folder), folder / "run", policy=Widening(), listener=heard.append)
    return result, heard, (folder / "run" / "model.safetensors").read_bytes()


def test_a_run_grows_learns_and_is_tested_once(whole):
    result, heard, _ = whole
    assert list(result.entries) == heard
    kinds = [entry["kind"] for entry in heard]
    assert kinds[0] == "evaluation"
    assert kinds[-1] == "test"
    assert kinds.count("test") == 1
    assert kinds.count("decision") == 3
    assert [entry["layers"][0]["width"] for entry in heard if entry["kind"] == "decision"] == [8, 10, 12]
    assert result.test["accuracy"] > 3 * heard[0]["accuracy"] > 0
    assert all(entry["promise"] == "exact" for entry in heard if entry["kind"] == "decision")


def test_a_change_does_not_move_the_accuracy(whole):
    entries = whole[0].entries
    before = next(at for at, entry in enumerate(entries) if entry["kind"] == "decision")
    assert entries[before]["change"] < 1e-5
    assert entries[before]["steps"] == entries[before - 1]["steps"]


def test_the_budget_holds_what_deciding_took(whole):
    result = whole[0]
    last = result.test
    step = configuration_step(result)
    assert last["flops"] <= 3e6 + step
    assert sum(entry.get("decision_flops", 0.0) for entry in result.entries) == 3000.0


def configuration_step(result):
    last, before = result.entries[-1], result.entries[-4]
    return (last["flops"] - before["flops"]) / max(last["steps"] - before["steps"], 1)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param((1, 2, 5, 13), id="at once"),
        pytest.param((21, 55), id="later"),
        pytest.param(tuple(range(1, 120, 7)), id="everywhere", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_killed_goes_on_bit_for_bit(whole, tmp_path, points):
    words = [sys.executable, "-m", "tests.evolve.run.killed", str(tmp_path), *map(str, points)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280)
    codes = done.stdout.split()
    assert codes == ["9"] * len(points) + ["0"], done.stderr
    assert facts(read_log(tmp_path / "run")) == facts(whole[0].entries)
    names = sorted(path.name for path in (tmp_path / "run").iterdir() if not path.name.endswith(".partial"))
    assert names == ["data.json", "finished.json", "log.jsonl", "model.safetensors", "run.json"]
    # The script's place is part of the configuration, and not of the archive.
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == whole[2]


def test_an_interrupted_run_goes_on(whole, tmp_path, monkeypatch):
    steps = []

    def interrupted(self, step=training.Training.step):
        steps.append(1)
        if len(steps) == 25:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(training.Training, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grow(configuration(tmp_path), tmp_path / "run", policy=Widening())
    seen = len(read_log(tmp_path / "run"))
    assert 0 < seen < len(whole[0].entries)
    result = grow(configuration(tmp_path), tmp_path / "run", policy=Widening())
    assert facts(result.entries) == facts(whole[0].entries)


def test_a_finished_run_is_only_read(whole, tmp_path, monkeypatch):
    first = grow(configuration(tmp_path, decisions=0), tmp_path / "run")
    monkeypatch.setattr(growing_run, "open_data", lambda *_args, **_options: pytest.fail("read the data"))
    again = grow(configuration(tmp_path, decisions=0), tmp_path / "run")
    assert again.entries == first.entries


def test_the_model_of_a_run_opens_without_its_script(whole, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole[2])
    model = load(path)
    assert [edit.operator for edit in model.edits] == ["widen"] * 3
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_another_configuration_is_refused_and_named(tmp_path):
    grow(configuration(tmp_path, decisions=0), tmp_path / "run")
    with pytest.raises(InputError, match=r"learning_rate was 0.01 and is 0.5; seed was 0 and is 1"):
        grow(configuration(tmp_path, decisions=0, seed=1, learning_rate=0.5), tmp_path / "run")
    assert read_run(tmp_path / "run") == configuration(tmp_path, decisions=0)


def test_a_run_that_could_not_begin_binds_nobody(tmp_path):
    for changes in ({"model": "nets.py:nothing"}, {"policy": "nobody"}, {"data": str(tmp_path / "nowhere")}):
        with pytest.raises(InputError):
            grow(configuration(tmp_path, **changes), tmp_path / "run")
    assert grow(configuration(tmp_path, decisions=0), tmp_path / "run").test["kind"] == "test"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex' and no run"):
        grow(configuration(tmp_path.parent), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_do_not_share_a_run(tmp_path):
    with lock_directory(tmp_path / "run"), pytest.raises(StoreLocked, match="in use by this very process"):
        grow(configuration(tmp_path), tmp_path / "run")


def test_other_data_are_refused(tmp_path):
    grow(configuration(tmp_path, decisions=0), tmp_path / "run")
    (tmp_path / "run" / "finished.json").unlink()
    (tmp_path / "run" / "data.json").write_text(json.dumps({"digest": "other"}))
    with pytest.raises(InputError, match="not those that the run"):
        grow(configuration(tmp_path, decisions=0), tmp_path / "run")


def test_a_damaged_state_is_named(tmp_path, monkeypatch):
    stop_after(monkeypatch, 20)
    with pytest.raises(KeyboardInterrupt):
        grow(configuration(tmp_path), tmp_path / "run", policy=Widening(), checkpoint_seconds=0.0)
    path = tmp_path / "run" / "state.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveCorrupt, match="is not what was written"):
        grow(configuration(tmp_path), tmp_path / "run", policy=Widening())


def stop_after(monkeypatch, count):
    left = [count]

    def step(self, original=training.Training.step):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(training.Training, "step", step)


class _Poison:
    """Widens once, and then again where the loss breaks."""

    def decide(self, situation):
        first = not situation.history
        return Decision(
            candidate=Candidate(operator="widen", site="1", arguments={"by": 2}) if first else None,
            reason="first" if first else "enough",
        )


def test_a_change_after_which_the_loss_is_no_number_is_left_out(tmp_path, monkeypatch):
    def loss(model, batch, original=training.own_loss):
        value = original(model, batch)
        return value * math.nan if model[1].out_features == 8 else value

    monkeypatch.setattr(training, "own_loss", loss)
    result = grow(configuration(tmp_path), tmp_path / "run", policy=_Poison())
    kinds = [entry["kind"] for entry in result.entries]
    assert kinds.count("rollback") == 1
    assert result.test["layers"][0]["width"] == 6
    left_out = [e for e in result.entries if e["kind"] == "decision" and "no number" in e["reason"]]
    assert [entry["label"] for entry in left_out] == ["nothing"]
    flops = [entry["flops"] for entry in result.entries]
    assert flops == sorted(flops)


def test_a_loss_that_no_change_explains_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "own_loss", lambda model, batch: model(*batch.inputs.args).sum() * math.inf)
    with pytest.raises(LossNotFinite, match=r"the loss is (nan|inf|-inf) after 0 steps.*\n.*smaller --lr"):
        grow(configuration(tmp_path), tmp_path / "run", policy=Widening())


def test_weights_that_are_no_numbers_are_told_at_the_next_evaluation(tmp_path, monkeypatch):
    def spoil(self, original=training.Training.step):
        original(self)
        with torch.no_grad():
            self.model[1].weight.fill_(math.nan)

    monkeypatch.setattr(training.Training, "step", spoil)
    with pytest.raises(LossNotFinite, match="the loss"):
        grow(configuration(tmp_path, decisions=0, evaluations=60), tmp_path / "run")
    read_log(tmp_path / "run")


def test_a_model_that_fails_in_training_is_to_blame_itself(tmp_path, monkeypatch):
    def loss(model, batch):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(training, "own_loss", loss)
    with pytest.raises(OutgrowError, match=r"cannot be trained on 16 pictures at once: RuntimeError: out of"):
        grow(configuration(tmp_path, decisions=0), tmp_path / "run")


def test_a_change_that_is_refused_is_noted(tmp_path):
    class Stubborn:
        def decide(self, situation):
            return Decision(
                candidate=Candidate(operator="widen", site="1", arguments={"by": 2, "method": "pad"}),
                reason="why not",
            )

    result = grow(configuration(tmp_path, decisions=1), tmp_path / "run", policy=Stubborn())
    (entry,) = [entry for entry in result.entries if entry["kind"] == "decision"]
    assert "refused" in entry["reason"]
    assert not entry["is_made"]


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_policies_decide_by_name(tmp_path, name):
    result = grow(configuration(tmp_path, policy=name, budget_flops=1e6, decisions=2), tmp_path / "run")
    decisions = [entry for entry in result.entries if entry["kind"] == "decision"]
    assert len(decisions) == 2
    assert all(entry["reason"] for entry in decisions)
    if name == "schedule":
        assert [entry["label"] for entry in decisions] == ["widen 1 by=3", "widen 1 by=4"]


class _Deepening:
    """Widens, and puts layers in, at whatever place comes first."""

    def decide(self, situation):
        kind = "deepen" if len(situation.history) % 2 == 0 else "widen"
        site = sites(situation.model, situation.inputs, kind=kind)[0]
        arguments = {} if kind == "deepen" else {"by": site.step}
        return Decision(
            candidate=Candidate(operator=kind, site=site.name, arguments=arguments), reason="the first"
        )


def test_a_run_whose_layers_became_more_goes_on_bit_for_bit(tmp_path, monkeypatch):
    given = {"model": "cnn", "budget_flops": 3e8, "decisions": 4}
    whole = grow(configuration(tmp_path, **given), tmp_path / "whole", policy=_Deepening())
    made = [entry for entry in whole.entries if entry["kind"] == "decision" and entry["is_made"]]
    assert {entry["candidate"]["operator"] for entry in made} == {"deepen", "widen"}
    for share in (0.8,):
        stop_after(monkeypatch, int(whole.test["steps"] * share))
        with pytest.raises(KeyboardInterrupt):
            grow(configuration(tmp_path, **given), tmp_path / f"{share}", policy=_Deepening())
        monkeypatch.undo()
        again = grow(configuration(tmp_path, **given), tmp_path / f"{share}", policy=_Deepening())
        assert facts(again.entries) == facts(whole.entries)
    assert replay_run(tmp_path / "whole").is_proved


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget_flops": 0}, "budget_flops is 0"),
        ({"budget_flops": math.nan}, "budget_flops is nan"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"decisions": -1}, "decisions is -1"),
        ({"train": 0}, "train is 0"),
    ],
)
def test_configurations_that_cannot_be_are_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        configuration(tmp_path, **changes)


def test_fewer_pictures_than_a_batch_are_refused(tmp_path):
    with pytest.raises(InputError, match="10 pictures to train on, and a batch has 16"):
        grow(configuration(tmp_path, train=10), tmp_path / "run")
