import gzip
import json

import pytest
import torch
from scipy import stats
from torch import nn

from bench.evolve.arms import COOLDOWN, DECIDED, FIXED, GROWING, PRUNED
from bench.evolve.char_gpt import CharGpt, GptSize, token_macs
from bench.evolve.cooldown import Trunk, train_trunk
from bench.evolve.corpus import VOCABULARY, Corpus, Windows, read_corpus
from bench.evolve.decided import counted_macs
from bench.evolve.fashion import Pictures, read_idx, read_pictures
from bench.evolve.fixed import build
from bench.evolve.language import LanguageArm, train_language
from bench.evolve.language_verdict import spent_for
from bench.evolve.ledger import Key, Ledger
from bench.evolve.mlp import MLP_ARMS
from bench.evolve.net import ThreeConv, forward_macs, widths_of
from bench.evolve.schedule import rate
from bench.evolve.stages import STAGES, Stage, chosen_only, next_key
from bench.evolve.statistics import mean_interval, paired
from bench.evolve.step_seconds import phases, seconds_of
from bench.evolve.training import Batches, judge
from bench.evolve.tuning import chosen_rate, next_rate
from bench.evolve.verdicts import best, compare


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.numpy().tobytes())


@pytest.fixture
def directory(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 40), ("t10k", 12)):
        images = torch.randint(256, (count, 28, 28), generator=generator).to(torch.uint8)
        # The label of a training picture is its first pixel: a picture that loses its label is seen.
        labels = images[:, 0, 0] % 10
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return tmp_path


def random_pictures():
    generator = torch.Generator().manual_seed(0)
    return Pictures(
        **{
            name: (torch.randn(count, 1, 28, 28, generator=generator), torch.arange(count) % 10)
            for name, count in (("train", 192), ("validation", 20), ("test", 20))
        }
    )


def test_splits_are_apart_and_normalised_by_what_is_trained_on(directory):
    pictures = read_pictures(directory, train=20, validation=15, test=5)
    assert [len(labels) for _, labels in (pictures.train, pictures.validation, pictures.test)] == [20, 15, 5]
    inputs = pictures.train[0]
    assert abs(inputs.mean()) < 1e-5
    assert abs(inputs.std() - 1) < 1e-4
    rows = {tuple(picture.flatten().tolist()) for picture in torch.cat([inputs, pictures.validation[0]])}
    assert len(rows) == 35
    original = read_idx(directory / "train-images-idx3-ubyte.gz").float() / 255
    chosen = (inputs[3, 0] - inputs.min()) / (inputs.max() - inputs.min())
    spread = original.max() - original.min()
    found = (original - original.min()) / spread
    nearest = (found - chosen).abs().amax((1, 2)).argmin()
    assert pictures.train[1][3] == round(float(original[nearest, 0, 0] * 255)) % 10


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="dataset-fashion-mnist"):
        read_pictures(tmp_path)


@pytest.mark.parametrize("broken", [b"", b"\0\0\x0d\1\0\0\0\1\0\0\0\0", b"\0\0\x08\1\0\0\0\2\1"])
def test_a_broken_idx_file_is_refused(tmp_path, broken):
    (tmp_path / "some-ubyte").write_bytes(broken)
    with pytest.raises(ValueError, match="some-ubyte"):
        read_idx(tmp_path / "some-ubyte")


def test_multiply_adds_are_those_of_the_convolutions():
    model, counted = ThreeConv((3, 5, 7)), []

    def count(module, inputs, output):
        per_place = module.weight[0].numel()
        counted.append(per_place * output[0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model(torch.randn(1, 1, 28, 28))
    assert forward_macs((3, 5, 7)) == sum(counted) == counted_macs(model)
    assert widths_of(model) == (3, 5, 7)


def test_one_unit_is_five_epochs_of_the_middle_width():
    from bench.evolve.net import UNIT_MACS

    assert pytest.approx(3 * forward_macs((16, 32, 64)) * 5 * 20_000, rel=0.01) == UNIT_MACS


def test_pooling_first_changes_nothing():
    model = ThreeConv((2, 3, 4)).eval()
    inputs = torch.randn(3, 1, 28, 28)
    hidden = model.pool(torch.relu(model.norm1(model.conv1(inputs))))
    hidden = model.pool(torch.relu(model.norm2(model.conv2(hidden))))
    hidden = torch.relu(model.norm3(model.conv3(hidden)))
    assert torch.equal(model(inputs), model.head(hidden.mean((2, 3))))


def test_rate_holds_then_falls_to_zero():
    assert [rate(2.0, share, hold=0.5) for share in (0, 0.5, 0.75, 1, 2)] == [2, 2, 1, 0, 0]


def test_training_ends_within_half_a_step_of_its_budget_and_counts_what_it_saw():
    training = build((2, 3, 4), random_pictures(), seed=0, lr=0.01)
    cost = 3 * forward_macs((2, 3, 4)) * 64
    training.finish(5.4 * cost, 0.01)
    assert (training.steps, training.samples, training.macs) == (5, 320, pytest.approx(5 * cost))
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(rate(0.01, 4 / 5.4))


def test_batches_depend_on_the_seed_alone_and_can_be_resumed():
    inputs, labels = torch.randn(200, 1, 2, 2), torch.arange(200)
    one, other = Batches(inputs, labels, seed=3), Batches(inputs, labels, seed=3)
    seen = torch.cat([one.next()[1] for _ in range(3)])
    assert len(set(seen.tolist())) == 192
    state = one.state()
    expected = [one.next()[1] for _ in range(5)]
    other.restore(state)
    assert all(torch.equal(other.next()[1], labels) for labels in expected)


def test_a_fork_trains_as_its_origin_would_have():
    pictures = random_pictures()
    training = build((2, 3, 4), pictures, seed=0, lr=0.01)
    cost = training.step_macs()
    training.advance(3 * cost, lambda _: 0.01)
    branch = training.fork(pictures.train)
    for one in (training, branch):
        one.advance(7 * cost, lambda _: 0.01)
    assert all(
        torch.equal(one, other)
        for one, other in zip(training.model.parameters(), branch.model.parameters(), strict=True)
    )
    assert branch.steps == training.steps == 7


def test_judging_leaves_the_mode_and_the_statistics_alone():
    model = ThreeConv((2, 3, 4)).train()
    before = model.norm1.running_mean.clone()
    found = judge(model, random_pictures().test)
    assert model.training
    assert torch.equal(model.norm1.running_mean, before)
    assert 0 <= found["accuracy"] <= 100


def key(**changes):
    return Key(**{"arm": "fixed 8.16.32", "budget": 1.0, "lr": 0.01, "seed": 0, "split": "tune", **changes})


def figures(ce=1.0, accuracy=50.0):
    each = {"ce": ce, "accuracy": accuracy}
    return {"train": each, "validation": each, "test": each}


def test_a_ledger_goes_on_after_a_kill_in_the_middle_of_a_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    Ledger(path).add(key(), figures())
    with path.open("a") as file:
        file.write('{"key": {"arm": "fixed 8')
    again = Ledger(path)
    assert key() in again
    again.add(key(seed=1), figures())
    assert set(Ledger(path).rows) == {key(), key(seed=1)}


def rows(losses):
    return [{"key": {"lr": lr, "seed": seed}, "validation": {"ce": ce}} for (lr, seed), ce in losses.items()]


def test_tuning_goes_on_at_an_edge_and_repeats_the_best_two():
    known = {(1, 0): 3.0, (2, 0): 2.0}
    assert next_rate(rows(known), (1, 2, 4), (0, 1)) == (4, 0)
    known[4, 0] = 1.0
    assert next_rate(rows(known), (1, 2, 4), (0, 1)) == (8, 0)
    known[8, 0] = 1.5
    assert next_rate(rows(known), (1, 2, 4), (0, 1)) == (4, 1)
    known[4, 1] = 1.6
    with pytest.raises(ValueError, match="no rate"):
        chosen_rate(rows({(1, 0): 1.0}), (0, 1))
    assert next_rate(rows(known), (1, 2, 4), (0, 1)) == (8, 1)
    assert next_rate(rows({(1, 0): 1.0}), (1,), (0,), most=1) is None
    known[8, 1] = 1.0
    assert next_rate(rows(known), (1, 2, 4), (0, 1)) is None
    assert chosen_rate(rows(known), (0, 1)) == 8


def test_runs_are_tuned_before_they_are_final_and_never_made_twice(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    stages = (Stage(arms=("fixed 8.16.32",), seeds=2), Stage(arms=("fixed 8.16.32",), budget=2.0, seeds=1))
    made = []
    for wanted in next_key(ledger, stages):
        made.append(wanted)
        row = ledger.add(wanted, figures(ce=abs(wanted.lr - 0.012)))
        assert row["key"]["arm"] == "fixed 8.16.32"
    assert [one.split for one in made] == ["tune"] * 5 + ["final"] * 3
    assert {one.lr for one in made if one.split == "final"} == {0.012}
    assert not {one.seed for one in made if one.split == "tune"} & {
        one.seed for one in made if one.split == "final"
    }
    assert list(next_key(ledger, stages)) == []


def test_every_arm_of_the_stages_exists():
    known = {*FIXED, *GROWING, *COOLDOWN, *DECIDED, *PRUNED, *MLP_ARMS}
    assert {arm for stage in STAGES for arm in stage.arms} <= known


def test_paired_figures_are_those_of_the_t_test():
    actual, expected = [1.0, 1.2, 1.1, 1.4], [1.1, 1.25, 1.3, 1.35]
    found = paired(actual, expected)
    peer = stats.ttest_rel(actual, expected)
    interval = peer.confidence_interval(0.95)
    assert found["p"] == pytest.approx(peer.pvalue)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert paired([1, 2, 3, 4], [0, 0, 0, 0])["p_sign_flips"] == 2 / 16
    assert mean_interval([3.0])["low"] is None
    with pytest.raises(ValueError, match="paired"):
        paired([1.0], [1.0])


def test_arms_are_compared_over_the_seeds_that_both_have(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for seed, (one, other) in enumerate([(51.0, 50.0), (53.0, 51.0)]):
        ledger.add(key(arm="a", seed=seed, split="final"), figures(accuracy=one))
        ledger.add(key(arm="b", seed=seed, split="final"), figures(accuracy=other))
    ledger.add(key(arm="b", seed=7, split="final"), figures(accuracy=99.0))
    found = compare(ledger, "a", "b", 1.0, "accuracy", "test")
    assert found["differences"] == [1.0, 2.0]
    assert compare(ledger, "a", "c", 1.0, "accuracy", "test") is None


def test_branches_of_a_cooldown_count_at_their_own_budgets(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    branches = {"0.5": figures(accuracy=40.0), "4": figures(accuracy=60.0)}
    for seed in (0, 1):
        ledger.add(
            key(arm="cooldown", seed=seed, split="final", budget=4.0), {**figures(), "branches": branches}
        )
        ledger.add(key(arm="b", seed=seed, split="final", budget=0.5), figures(accuracy=39.0 + seed))
    assert compare(ledger, "cooldown", "b", 0.5, "accuracy", "test")["mean"] == pytest.approx(0.5)


def test_the_best_arm_is_chosen_where_it_is_asked():
    def row(arm, validation, test):
        return {
            "arm": arm,
            "budget": 1.0,
            "n": 5,
            "validation_accuracy": {"mean": validation},
            "test_accuracy": {"mean": test},
        }

    rows = [row("a", 2, 1), row("b", 1, 2), row("c", 9, 9)]
    assert best(rows, ("a", "b"), 1.0, "validation") == "a"
    assert best(rows, ("a", "b"), 1.0, "test") == "b"
    assert best(rows, ("a", "b"), 2.0, "test") is None


def test_characters_are_split_by_file_and_windows_follow_each_other(tmp_path):
    for number in range(10):
        (tmp_path / f"m{number}.py").write_text(f"x{number} = '\u00e9'\r\n" * 20)
    corpus = read_corpus(tmp_path, share=0.2)
    assert corpus.files == (8, 2)
    names = [
        {chr(int(one) + 32) for one in part if 48 <= one + 32 < 58}
        for part in (corpus.train, corpus.held_out)
    ]
    assert not names[0] & names[1]
    assert max(corpus.train.max(), corpus.held_out.max()) < VOCABULARY
    inputs, targets = Windows(corpus.train, length=8, batch=4, seed=0).next()
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_multiply_adds_of_a_gpt_count_linear_layers_and_attention():
    model = CharGpt(GptSize(layers=2, heads=2, inner=16, hidden=8, head_dim=4, length=16))
    block = 4 * 8 * 8 + 2 * 8 * 16 + 2 * 16 * 8
    assert token_macs(model, 16) == 2 * block + 8 * VOCABULARY
    assert model(torch.zeros(2, 16, dtype=torch.int64)).shape == (2, 16, VOCABULARY)


@pytest.mark.slow
def test_toy_run_writes_a_result_with_all_kinds_of_arms(tmp_path, bench_directory):
    from bench.__main__ import main

    assert main(["evolve_curves", "--toy", "--results", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert record["toy"]
    assert not record["partial"]
    assert {row["what"] for row in record["summary"]} >= {"arm", "gate A", "gate C, cost", "gromo"}


def test_a_small_gpt_grows_to_the_goal_and_its_cost_is_counted(monkeypatch):
    from bench.evolve import language

    corpus = Corpus(
        train=torch.arange(4000) % VOCABULARY, held_out=torch.arange(900) % 7, files=(1, 1), digest=""
    )
    monkeypatch.setattr(language, "BATCH", 2)
    sizes = {"hidden": 16, "head_dim": 8, "length": 16}
    small = GptSize(layers=1, heads=2, inner=8, **sizes)
    goal = GptSize(layers=2, heads=4, inner=16, **sizes)
    arm = LanguageArm(start=small, grows_at=0.5)
    row = train_language(key(lr=1e-3), arm, corpus, goal, steps=8, windows=2)
    costs = [3 * 2 * 16 * token_macs(CharGpt(size), 16) for size in (small, goal)]
    assert [edit["operator"] for edit in row["grown"]] == ["widen", "widen", "deepen"]
    assert all(edit["change"] < 1e-5 for edit in row["grown"])
    assert row["parameters"] == sum(one.numel() for one in CharGpt(goal).parameters())
    before = round(0.5 * 8 * costs[1] / costs[0])
    assert row["macs"] == pytest.approx(before * costs[0] + (row["steps"] - before) * costs[1])
    assert abs(row["macs"] - 8 * costs[1]) <= costs[1] / 2


def test_what_was_spent_for_a_loss_is_read_between_two_budgets():
    assert spent_for(2.0, [(100.0, 3.0), (400.0, 1.0)]) == pytest.approx(200.0)
    assert spent_for(0.5, [(100.0, 3.0), (400.0, 1.0)]) is None


@pytest.mark.slow
def test_toy_run_of_the_language_case_counts_what_was_saved(tmp_path, bench_directory):
    from bench.__main__ import main

    assert main(["evolve_language", "--toy", "--results", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert {row["what"] for row in record["summary"]} >= {"arm", "saved"}


def test_phases_spend_the_whole_budget_at_the_widths_of_the_schedule():
    assert phases("fixed 8.16.32", 2.0) == [((8, 16, 32), False, 2.0)]
    assert phases("grow 8.16.64", 2.0) == [((8, 16, 32), False, 0.4), ((8, 16, 64), True, 1.6)]
    cooled = phases("cooldown", 0.5)
    assert cooled == [((8, 16, 32), False, 0.5)]
    assert sum(share for _, _, share in phases("cooldown", 4.0)) == pytest.approx(4.0)
    assert phases("evolve greedy", 1.0) is None
    steps = {"8.16.32": [1.0, 3.0, 2.0]}
    cost = 3 * forward_macs((8, 16, 32)) * 64
    assert seconds_of("fixed 8.16.32", 2.0, steps, unit=10 * cost) == pytest.approx(40.0)


def test_only_runs_with_the_rate_that_was_chosen_count(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    stages = (Stage(arms=("fixed 8.16.32",), seeds=1),)
    ledger.add(key(lr=0.5, seed=100, split="final"), figures())
    for wanted in next_key(ledger, stages):
        ledger.add(wanted, figures(ce=abs(wanted.lr - 0.012)))
    found = chosen_only(ledger, stages)
    assert {one.lr for one in found.rows if one.split == "final"} == {0.012}
    assert len(found.rows) == len(ledger.rows) - 1


def test_the_rate_of_a_cooldown_is_tuned_on_its_last_branch_alone():
    pictures, unit = random_pictures(), 40 * 3 * forward_macs((2, 3, 4)) * 64
    arm = Trunk(start=(2, 3, 4), budgets=(0.5, 1.0))
    whole, alone = (
        train_trunk(key(arm="x", split=split), arm, pictures, unit=unit) for split in ("final", "tune")
    )
    assert list(whole["branches"]) == ["0.5", "1"]
    assert list(alone["branches"]) == ["1"]
    assert alone["validation"] == whole["validation"] == whole["branches"]["1"]["validation"]
    assert alone["macs"] < whole["macs"]
