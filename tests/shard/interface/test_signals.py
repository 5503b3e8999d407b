"""Signals place what a program makes; their files are checked to the line."""

import threading

import numpy as np
import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError
from outgrow.shard.interface.signal_config import ConfigurationError
from outgrow.shard.signals import PlacementWarning, current_backward_signal, current_signal

pytestmark = pytest.mark.usefixtures("session")

SIGNALS = """\
rows:
  shard: {axis: 0}
  backward: columns
columns:
  shard:
    axis: 1
whole:
  shard: {axis: 0, replicated: true}
one:
  shard: {workers: [0]}
free:
  compile: false
far:
  shard: {axis: 5}
"""


@pytest.fixture
def signals(tmp_path):
    path = tmp_path / "signals.yaml"
    path.write_text(SIGNALS)
    gt.load_config(str(path))
    return path


def held(tensor, workers):
    return "R" if workers == 1 else str(gt.placement_of(tensor))


@pytest.mark.usefixtures("signals")
def test_what_is_made_inside_lies_so(workers):
    with gt.signal.context("rows"):
        x = gt.randn(6, 4, requires_grad=True)
        own = torch.ones(6, 4, device="workers")
        y = x * own
        assert current_signal() == "rows"
        assert current_backward_signal() == "columns"
    assert current_signal() is None
    outside = gt.randn(6, 4)
    expected = "R" if workers == 1 else "S(0)"
    assert [held(one, workers) for one in (x, own, y)] == [expected] * 3
    assert held(outside, workers) == "R"
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.ones((6, 4)))


@pytest.mark.usefixtures("signals")
def test_numbers_do_not_change_with_placement():
    data = np.random.default_rng(0).standard_normal((7, 5)).astype("float32")

    def run():
        w = gt.from_numpy(data, requires_grad=True)
        loss = ((w @ w.T).relu() * 2).mean()
        loss.backward()
        return loss.data.numpy(), w.grad.data.numpy()

    plain = run()
    for name in ("rows", "columns", "whole", "one", "free"):
        with gt.signal.context(name):
            for found, expected in zip(run(), plain, strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.usefixtures("signals")
def test_contexts_nest_and_end_after_errors(workers):
    with gt.signal.context("rows"):
        with gt.signal.context("whole"):
            inner = gt.ones(6, 4)
        outer = gt.ones(6, 4)
        with pytest.raises(RuntimeError, match="size"), gt.signal.context("columns"):
            gt.ones(2) + gt.ones(3)
        assert current_signal() == "rows"
    assert held(inner, workers) == "R"
    assert held(outer, workers) == ("R" if workers == 1 else "S(0)")


@pytest.mark.usefixtures("signals")
def test_enter_and_exit(workers):
    gt.signal.enter("columns")
    x = gt.ones(6, 4)
    with pytest.raises(InputError, match="entered last is 'columns'"):
        gt.signal.exit("rows")
    gt.signal.exit("columns")
    assert held(x, workers) == ("R" if workers == 1 else "S(1)")
    with pytest.raises(InputError, match="no signal to leave"):
        gt.signal.exit("columns")


@pytest.mark.usefixtures("signals")
def test_a_signal_is_entered_in_one_thread_alone():
    seen = []
    with gt.signal.context("rows"):
        thread = threading.Thread(target=lambda: seen.append(current_signal()))
        thread.start()
        thread.join()
    assert seen == [None]


@pytest.mark.usefixtures("signals")
def test_one_tensor_alone(workers):
    x = gt.ones(6, 4)
    assert gt.signal.tensor(x, "free") is x
    assert held(gt.signal.tensor(x, name="columns"), workers) == ("R" if workers == 1 else "S(1)")
    y = gt.signal.tensor(gt.ones(6, 4, requires_grad=True) * 2, "rows", "columns")
    assert held(y, workers) == ("R" if workers == 1 else "S(0)")
    with pytest.raises(InputError, match="did you mean: columns"):
        gt.signal.tensor(x, "colums")


def test_a_placement_that_the_tensor_cannot_have_names_the_line(signals):
    with pytest.raises(ConfigurationError, match=rf"'far' \({signals}, line 13\).*no dim 5(.|\n)*Shard\(1\)"):
        gt.signal.tensor(gt.ones(6, 4), "far")
    with gt.signal.context("far"):
        gt.ones(6, 4)  # made by the program, not placed by name: left to the planner


def test_workers_that_are_not_there(workers, tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text("ok: {}\nmany:\n  shard: {workers: [0, 7]}\n")
    gt.load_config(path)
    with (
        pytest.raises(ConfigurationError, match=rf"line 2\) asks for worker 7, and there are {workers}"),
        gt.signal.context("many"),
    ):
        pass
    assert current_signal() is None


@pytest.mark.parametrize("workers", [3], indirect=True)
def test_some_of_the_workers_are_all_of_them_with_a_warning():
    gt.register_config("two", gt.SignalConfig(shard=gt.ShardConfig(axis=0, workers=[0, 2])))
    with pytest.warns(PlacementWarning, match="2 of 3 workers"), gt.signal.context("two"):
        x = gt.ones(6, 4)
    assert held(x, 3) == "S(0)"
    gt.register_config("alone", gt.SignalConfig(gt.ShardConfig(workers=[2])))
    with gt.signal.context("alone"):
        y = gt.ones(6, 4)
    assert held(y, 3) == "O(2)"
    np.testing.assert_array_equal(y.data, np.ones((6, 4)))


def test_an_undefined_signal_says_nothing():
    with gt.signal.context("nobody defined this", backward="nor this"):
        x = gt.ones(2, 2)
    np.testing.assert_array_equal(x.data, 1)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: {shard: {axs: 1}}", 1, "did you mean axis"),
        ("a:\n  shard:\n    axis: 0\n  shards: {}\n", 4, "did you mean shard"),
        ("a:\n  shard:\n    axis: 1.5", 3, "axis is 1.5"),
        ("a:\n  shard:\n    axis: true", 3, "axis is True"),
        ("a:\n  shard:\n    workers: []", 3, "at least one"),
        ("a:\n  shard:\n    workers: [0, -1]", 3, "none below zero"),
        ("a:\n  shard:\n    workers: [1, 1]", 3, "twice"),
        ("a:\n  shard:\n    workers: all", 3, "a list of numbers"),
        ("a:\n  shard:\n    replicated: 1", 3, "true or false"),
        ("a:\n  shard: 0", 2, "no mapping"),
        ("a: 3", 1, "no mapping"),
        ("a:\n  compile: sometimes", 2, "true or false"),
        ("rows: {}\na:\n  backward: row", 3, "did you mean: rows"),
        ("a:\n  backward: 3", 2, "name of a signal"),
        ("- a", 1, "no mapping"),
        ("a: [", 1, "no YAML"),
        ("a: {}\nb: {}\na: {}", 3, "twice"),
        ("a: {shard: {axis: 0, axis: 1}}", 1, "twice"),
        ("3: {}", 1, "means nothing"),
        ("a:\n  shard: !!python/object/apply:os.getcwd []", 2, "cannot be"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text, line, says, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        gt.load_config(path)
    assert f"{path}, line {line}:" in str(caught.value)
    assert not gt.get_config().signals


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        gt.load_config(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    gt.load_config(tmp_path / "empty.yaml")
    (tmp_path / "nulls.yaml").write_text("a:\n  shard:\n    workers: null\nb:\n  shard: null\n")
    gt.load_config(tmp_path / "nulls.yaml")
    assert gt.get_signal_config("a") == gt.SignalConfig(shard=gt.ShardConfig())
    assert gt.get_signal_config("b") == gt.SignalConfig()
    assert gt.get_signal_config("c") is None
    assert gt.get_config().has_signal("a")


@pytest.mark.parametrize(
    ("name", "config"),
    [("", gt.SignalConfig()), (3, gt.SignalConfig()), ("a", None), ("a", gt.ShardConfig())],
)
def test_signals_from_programs_are_checked(name, config):
    with pytest.raises(ConfigurationError):
        gt.register_config(name, config)


def test_a_signal_that_a_program_replaced_is_no_line_of_a_file_any_more(tmp_path):
    path = tmp_path / "signals.yaml"
    path.write_text("a: {}\n")
    gt.load_config(path)
    assert gt.get_config().title("a") == f"signal 'a' ({path}, line 1)"
    gt.register_config("a", gt.SignalConfig())
    assert gt.get_config().title("a") == "signal 'a'"


@pytest.mark.parametrize("given", [{"shard": 1}, {"backward_signal": 2}, {"compile": "yes"}], ids=str)
def test_fields_are_checked(given):
    with pytest.raises(ConfigurationError):
        gt.SignalConfig(**given)


def test_the_environments_file_is_read_once_needed(tmp_path, monkeypatch):
    path = tmp_path / "signals.yaml"
    path.write_text(SIGNALS)
    monkeypatch.setenv("GT_CONFIG", str(path))
    gt.get_config().load_from_env()
    assert gt.get_config().has_signal("rows")
    monkeypatch.delenv("GT_CONFIG")
    gt.get_config().clear()
    gt.get_config().load_from_env()
    assert not gt.get_config().signals


@pytest.mark.parametrize("workers", [3], indirect=True)
def test_results_in_a_context_are_placed_within_the_segment(session, monkeypatch, signals):
    x = gt.ones(6, 4)
    sent = []
    send = session.link.send
    monkeypatch.setattr(
        session.link, "send", lambda message: (sent.append(type(message).__name__), send(message))
    )
    with gt.signal.context("rows"), gt.no_grad():
        y = (x * 2 + 1).relu()
    assert sent == []
    assert gt.placement_of(y) == gt.Shard(0)
    np.testing.assert_array_equal(y.data, np.full((6, 4), 3.0))
