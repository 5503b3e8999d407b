import json
import subprocess

import pytest
import torch

from outgrow.devices import gpudirect
from outgrow.devices.gpudirect import gpudirect_state


@pytest.fixture
def pretend(monkeypatch):
    """Pretend a GPU, an installed kvikio, and what its probe answers."""

    def set_up(*, code=0, output="", errors="", failure=None):
        def run(command, **options):
            if failure is not None:
                raise failure
            return subprocess.CompletedProcess(command, code, output, errors)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(gpudirect.importlib.util, "find_spec", lambda name: object())
        monkeypatch.setattr(gpudirect.subprocess, "run", run)

    return set_up


def test_without_a_gpu_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpudirect.subprocess, "run", None)
    state = gpudirect_state()
    assert not state.is_usable
    assert "no CUDA device" in state.reason


def test_without_kvikio_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpudirect.importlib.util, "find_spec", lambda name: None)
    assert "outgrow[gds]" in gpudirect_state().reason


@pytest.mark.parametrize("usable", [True, False])
def test_what_the_driver_says_decides(pretend, usable):
    pretend(output="a warning\n" + json.dumps({"version": "26.10", "usable": usable}))
    state = gpudirect_state()
    assert state.is_usable is usable
    assert "26.10" in state.reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"code": 1, "errors": "Traceback\nImportError: libcuda.so.1"}, "libcuda.so.1"),
        ({"code": -6}, "exit code -6"),
        ({"code": -11, "output": '{"version": "26.10", "usable": true}'}, "exit code -11"),
        ({"output": "hello"}, "unexpected answer"),
        ({"output": "[]"}, "unexpected answer"),
        ({"failure": subprocess.TimeoutExpired("python", 60)}, "could not be tried"),
        ({"failure": OSError("no more processes")}, "no more processes"),
    ],
    ids=["import error", "abort", "crash after the answer", "no json", "no dict", "hangs", "no process"],
)
def test_a_broken_installation_is_an_answer_and_no_crash(pretend, answer, reason):
    pretend(**answer)
    state = gpudirect_state()
    assert not state.is_usable
    assert reason in state.reason
