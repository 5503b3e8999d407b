"""Files made to harm: refused by name, in little time and memory, with nothing run.

Each is opened, and all that it gives read, in a process of its own that reports what it touched.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.compare.readers.hostile_files import CASES, HEAVY
from tests.compare.readers.hostile_pieces import entry, safetensors

Ask = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def probe() -> Iterator[Ask]:
    """Opens a path in a fresh process; fails where that took too much, or touched anything."""
    command = [sys.executable, str(Path(__file__).with_name("file_probe.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(path: Path) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            assert answer, "the process died"
            assert answer["events"] == []
            assert answer["seconds"] < 5, answer["seconds"]
            assert answer["extra_kb"] < 200_000, answer["extra_kb"]
            return answer

        yield ask
        assert process.stdin is not None
        process.stdin.close()


class Touch:
    """Runs a command where anybody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in HEAVY else []) for case in CASES]
)
def test_is_refused_in_little_time_and_memory(case, probe, tmp_path):
    suffix, make, says = CASES[case]
    path = tmp_path / f"hostile{suffix}"
    path.write_bytes(make())
    answer = probe(path)
    told = " ".join(
        [answer.get("error", ""), *answer.get("refused", {}).values(), *answer.get("problems", [])]
    )
    assert says in told, told[:2000]
    assert answer.get("count", 0) <= 1


@pytest.mark.parametrize("is_zip", [True, False])
def test_no_code_is_run_and_the_rest_is_read(is_zip, probe, tmp_path):
    marker = tmp_path / "marker"
    path = tmp_path / "x.pth"
    named = {"before": torch.ones(3), "evil": Touch(marker), "after": [torch.zeros(2), Touch(marker), 1.5]}
    torch.save(named, path, _use_new_zipfile_serialization=is_zip)
    answer = probe(path)
    assert not marker.exists()
    assert answer["names"] == ["before", "after[0]", "after[2]"]
    assert set(answer["refused"]) == {"x.pth/evil", "x.pth/after[1]"}
    assert all("system" in reason for reason in answer["refused"].values())
    # The payload is one that works.
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_small_expanded_tensor_is_read(probe, tmp_path):
    torch.save({"mask": torch.ones(1, 1, 64).expand(8, 64, 64)}, tmp_path / "x.pth")
    answer = probe(tmp_path / "x.pth")
    assert answer["names"] == ["mask"]
    assert answer["problems"] == []


def test_an_array_of_zeros_is_no_bomb(probe, tmp_path):
    np.savez_compressed(tmp_path / "x.npz", mask=np.zeros((1500, 1500)), x=np.arange(9))
    answer = probe(tmp_path / "x.npz")
    assert answer["names"] == ["mask", "x"]
    assert (answer["refused"], answer["problems"]) == ({}, [])


def test_an_index_of_millions_of_parts_is_refused(probe, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(safetensors(json.dumps({"a": entry()}).encode(), bytes(8)))
    parts = b'{"weight_map": {"a": "x.safetensors"}, "more": [' + b"1," * 30_000_000 + b"1]}"
    (tmp_path / "x.safetensors.index.json").write_bytes(parts)
    answer = probe(tmp_path)
    assert answer["names"] == ["a"]
    assert "30,000,001 parts" in answer["refused"]["x.safetensors.index.json"]


def test_devices_are_not_opened(probe, tmp_path):
    (tmp_path / "zero.pth").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.npy")
    torch.save(torch.ones(2), tmp_path / "good.pth")
    answer = probe(tmp_path)
    assert answer["names"] == ["good"]
    assert set(answer["refused"]) == {"zero.pth", "pipe.npy"}
