import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_state import OPERATORS
from outgrow.evolve.policies.environment import DecisionTable, Replay, TableInvalid
from tests.evolve.decision_tables import PATHS, loss_of, small_record


def read(tmp_path, record=None):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(record or small_record()))
    return DecisionTable.read(path)


@pytest.fixture
def table(tmp_path):
    return read(tmp_path)["made-up"]


def test_doing_nothing_is_worth_exactly_zero(table):
    for path in table.layers:
        for seed in (0, 1, None):
            assert table.reward(path, 0, seed=seed) == 0.0


@given(choices=st.lists(st.integers(0, 2), min_size=2, max_size=2), seed=st.integers(0, 1))
def test_rewards_add_up_to_what_the_run_gained(tmp_path_factory, choices, seed):
    table = read(tmp_path_factory.mktemp("table"))["made-up"]
    path, total = "", 0.0
    for digit in choices:
        if digit not in table.following(path):
            return
        total += table.reward(path, digit, seed=seed)
        path += str(digit)
    unchanged = loss_of("00", seed)
    assert total == pytest.approx((unchanged - loss_of(path, seed)) / unchanged)


def test_regret_is_that_against_the_best_run(table):
    assert table.optimum() == "11"
    assert table.regret("11") == 0
    assert table.regret("00") == pytest.approx(0.4 - 0.01)
    assert table.regret("00", seed=0) == pytest.approx(0.4)
    assert table.loss("11", split="test") == pytest.approx(0.6 + 0.01 + 0.05)


def test_replay_walks_the_table_and_ends(table):
    replay = Replay(table, 1)
    state = replay.reset()
    widen = table.action("", 1)
    assert bool(state.mask[widen])
    state, reward, done = replay.step(widen)
    assert (reward, done) == (pytest.approx((1 - 0.81) / 1), False)
    state, _, done = replay.step(0)
    assert state is None
    assert done
    assert replay.path == "10"
    with pytest.raises(InputError, match="over"):
        replay.step(0)


def test_mask_allows_what_is_in_the_table_and_nothing_else(table):
    state = table.state("2", seed=0)
    allowed = {table.action("2", digit) for digit in table.following("2")}
    assert allowed == {0, table.action("", 1)}
    assert set(state.mask.nonzero().flatten().tolist()) == allowed


def test_what_cannot_be_done_is_refused(table):
    replay = Replay(table, 0)
    replay.step(table.action("", 2))
    prune_again = 1 + 1 * len(OPERATORS) + OPERATORS.index("prune")
    with pytest.raises(InputError, match="cannot be done"):
        replay.step(prune_again)
    assert replay.path == "2"


def test_state_tells_seeds_apart_and_sees_the_budget_shrink(table):
    begin, later = table.state("", seed=0), table.state("1", seed=0)
    assert later.run[0] > begin.run[0]
    assert later.run[1] < begin.run[1]
    assert table.state("1", seed=1).run[2] != later.run[2]


def test_no_such_seed_is_refused(table):
    with pytest.raises(InputError, match="seed 2"):
        Replay(table, 2)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.update(format=2),
        lambda record: record.pop("tasks"),
        lambda record: record["tasks"]["made-up"]["seeds"][0].pop("probe"),
        lambda record: record["tasks"]["made-up"]["seeds"][1]["validation"].pop(),
        lambda record: record["tasks"]["made-up"]["layers"].pop(""),
        lambda record: record["tasks"]["made-up"]["layers"][""][0].pop(),
    ],
    ids=["format", "tasks", "figure", "node", "layers", "row"],
)
def test_table_that_is_not_whole_is_refused(tmp_path, spoil):
    record = small_record()
    spoil(record)
    with pytest.raises(TableInvalid):
        read(tmp_path, record)


def test_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "table.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TableInvalid):
        DecisionTable.read(path)


def test_every_path_is_there(table):
    assert table.paths == tuple(PATHS)
    assert len(table.ends()) == 8
