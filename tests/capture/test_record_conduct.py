"""Recording disturbs nobody: after limits, mistakes, errors, Ctrl-C and forks the rest is as without it."""

import gc
import json
import os
import threading
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from outgrow.capture import open_own, record
from outgrow.errors import InputError
from tests.capture.recorded_model import Model, by_name, names


def test_the_limit_cuts_the_recording_and_says_where(tmp_path):
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 400), nn.Identity(), nn.Linear(400, 1))
    with record(model, tmp_path / "run", max_bytes=1000) as recorder:
        model(torch.ones(1, 4))
    assert names(tmp_path / "run") == ["0.output"]
    assert recorder.left_out == 4
    (refusal,) = open_own(tmp_path / "run").refused
    assert refusal.entry == "1.output"
    assert "limit" in refusal.reason


def test_little_memory_makes_the_run_wait_and_loses_nothing(tmp_path):
    model = nn.Sequential(*(nn.Identity() for _ in range(30)))
    given = torch.randn(1000)
    with record(model, tmp_path / "run", buffer_bytes=10_000):
        model(given)
    found = by_name(tmp_path / "run")
    assert len(found) == 31
    assert all(torch.equal(values, given) for values in found.values())


def test_nothing_is_written_over(tmp_path):
    model = nn.Identity()
    with record(model, tmp_path / "run"):
        model(torch.ones(1))
    before = (tmp_path / "run" / "index.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"a recording in .* already"), record(model, tmp_path / "run"):
        pass
    assert (tmp_path / "run" / "index.jsonl").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match=r"not empty: it has 'letter.txt'"), record(model, tmp_path / "mine"):
        pass
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "laiers.*"}, "no module of the model fits 'laiers.*'"),
        ({"kinds": ("output",)}, "no kind 'output'"),
        ({"kinds": ()}, "no kind is given"),
        ({"kinds": ("optimizer",)}, "no optimizer is given"),
        ({"rank": 2, "world_size": 2}, "no rank 2"),
        ({"max_bytes": "much"}, "much"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(tmp_path, options, message):
    pattern = message.replace("*", r"\*")
    with pytest.raises(InputError, match=pattern) as caught, record(Model(), tmp_path / "run", **options):
        pass
    assert not (tmp_path / "run").exists()
    assert caught.value.hint or "rank" in message


def test_a_compiled_model_is_refused(tmp_path):
    model = Model()
    model.layers[0]._compiled_call_impl = lambda *args: None
    with pytest.raises(InputError, match=r"'layers.0' is compiled"), record(model, tmp_path / "run"):
        pass


def test_an_error_in_the_run_leaves_a_readable_recording(tmp_path):
    model = Model().eval()
    with pytest.raises(RuntimeError, match="mat1 and mat2"), record(model, tmp_path / "run"):
        [model(torch.randn(2, width)) for width in (6, 5)]
    recording = open_own(tmp_path / "run")
    assert len(recording.records) == 10
    assert [refusal.reason for refusal in recording.refused] == ["the recorded run ended with RuntimeError"]


def test_ctrl_c_leaves_no_thread_and_a_readable_recording(tmp_path):
    model = Model().eval()

    def run():
        model(torch.randn(2, 6))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), record(model, tmp_path / "run"):
        run()
    assert not [thread for thread in threading.enumerate() if thread.name == "outgrow-recording"]
    assert len(by_name(tmp_path / "run")) == 10


def test_thirty_recordings_leave_nothing_behind(tmp_path):
    model = Model().eval()
    for number in range(30):
        with record(model, tmp_path / f"run{number}", kinds=("outputs", "gradients")):
            model(torch.randn(2, 6)).sum().backward()
        with open_own(tmp_path / f"run{number}") as recording:
            recording.records[0].read()
        del recording
        if number == 9:
            gc.collect()
            before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    gc.collect()
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None


def test_a_fork_does_not_write_into_its_parents_recording(tmp_path):
    model = nn.Identity()
    with record(model, tmp_path / "run"):
        model(torch.ones(1))
        child = os.fork()
        if child == 0:
            model(torch.zeros(1))
            os._exit(0)
        os.waitpid(child, 0)
    assert names(tmp_path / "run") == ["output"]


def test_the_index_says_what_it_is(tmp_path):
    with record(model := nn.Identity(), tmp_path / "run"):
        model(torch.ones(2, 3))
    first, line, last = map(json.loads, (tmp_path / "run" / "index.jsonl").read_text().splitlines())
    assert (first["format"], first["version"]) == ("outgrow.recording", 1)
    assert line["name"] == "output"
    assert line["shape"] == [2, 3]
    assert last == {"end": True, "records": 1, "bytes": 24, "left_out": 0}


class Compiled(nn.Module):
    """Its forward is written in C and has no signature that Python knows."""

    forward = staticmethod(torch.relu)


class Odd(dict):
    """Breaks whoever looks into it."""

    def items(self):
        raise TypeError("not to be looked into")


def test_inputs_without_a_signature_are_refused_and_the_call_goes_on(tmp_path):
    with record(model := Compiled(), tmp_path / "run", kinds=("inputs", "outputs")):
        assert model(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    with open_own(tmp_path / "run") as run:
        assert [found.name for found in run.records] == ["output"]
        assert [refusal.entry for refusal in run.refused] == ["input"]


def test_what_cannot_be_taken_of_an_input_is_not_passed_over(tmp_path):
    with (
        pytest.raises(TypeError, match="not to be looked into"),
        record(model := nn.Identity(), tmp_path / "run", kinds=("inputs",)),
    ):
        model(Odd(a=torch.ones(1)))


def test_arguments_that_do_not_fit_fail_as_they_do_without(tmp_path):
    with (
        pytest.raises(TypeError, match=r"forward\(\) takes 2 positional arguments"),
        record(model := nn.ReLU(), tmp_path / "run", kinds=("inputs",)),
    ):
        model(1, 2, 3)
