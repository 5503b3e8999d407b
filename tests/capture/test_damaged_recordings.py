"""Whatever happened to the disk or the process is told, and the rest of the recording can be read."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

from outgrow.capture import is_recording, open_own, record
from outgrow.errors import InputError, StoreError
from outgrow.store.header import StoreCorrupt
from outgrow.store.lock import StoreLocked
from tests.capture.small_recordings import numbers, write


def edit_index(run, change):
    lines = [json.loads(text) for text in (run / "index.jsonl").read_text().splitlines()]
    change(lines)
    (run / "index.jsonl").write_text(
        "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in lines)
    )


def test_every_torn_end_leaves_the_whole_lines_before_it(run):
    whole = (run / "index.jsonl").read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    for length in sorted({*ends[:-1], *range(ends[0], len(whole), 17)}):
        (run / "index.jsonl").write_bytes(whole[:length])
        recording = open_own(run)
        assert numbers(recording) == [float(n) for n in range(min(4, sum(end <= length for end in ends) - 1))]
        assert any("not finished" in refusal.reason for refusal in recording.refused)
        assert any("cut off" in refusal.reason for refusal in recording.refused) == (length not in ends)


@pytest.mark.parametrize("length", [0, 5, 60])
def test_an_index_without_a_first_line_is_named(run, length):
    (run / "index.jsonl").write_bytes((run / "index.jsonl").read_bytes()[:length])
    assert is_recording(run)
    with pytest.raises(StoreCorrupt, match="no whole first line"):
        open_own(run)


def test_later_versions_are_refused(run):
    edit_index(run, lambda lines: lines[0].update(version=2))
    with pytest.raises(InputError, match="version 2") as caught:
        open_own(run)
    assert caught.value.hint == "update outgrow"


def test_what_a_truncated_file_lost_is_named(run):
    file = run / "tensors-00000.safetensors"
    os.truncate(file, file.stat().st_size - 1)
    recording = open_own(run)
    assert numbers(recording) == [0, 1, 2]
    (refusal,) = recording.refused
    assert refusal.entry == "value3"
    assert "ends at byte" in refusal.reason


def test_what_a_missing_file_held_is_named(run):
    (run / "tensors-00000.safetensors").unlink()
    recording = open_own(run)
    assert recording.records == ()
    assert [refusal.entry for refusal in recording.refused] == [f"value{number}" for number in range(4)]


@pytest.mark.parametrize("is_finished", [True, False])
def test_changed_bytes_are_found_by_the_digest(run, is_finished):
    with (run / "tensors-00000.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    if not is_finished:
        edit_index(run, lambda lines: lines.pop())
    with open_own(run, check_digests=is_finished) as recording:
        assert recording.records[0].read()[0] == 0
        with pytest.raises(StoreCorrupt, match=r"'value3' .* damaged"):
            recording.records[3].read()


@pytest.mark.parametrize(
    "lie",
    [
        {"shape": [11]}, {"shape": [-1]}, {"shape": [2**62, 2**62]}, {"shape": "10"}, {"shape": [1] * 65},
        {"dtype": "float99"}, {"dtype": None}, {"offset": -8}, {"offset": 2**70}, {"offset": 1.5},
        {"file": "../run/tensors-00000.safetensors"}, {"file": "/etc/passwd"}, {"file": ".."}, {"file": 3},
        {"nbytes": 10**15}, {"sequence": "x"}, {"mesh": [1]}, {"mesh": {"tp": "x"}}, {"name": 7},
        {"kind": None}, {"step": True}, {"nan": -1}, {"rank": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_that_lies_costs_its_tensor_alone(run, lie):
    edit_index(run, lambda lines: lines[2].update(lie))
    recording = open_own(run)
    assert numbers(recording) == [0, 2, 3]
    assert len(recording.refused) == 1


@settings(max_examples=40)
@given(data=st.binary(max_size=60), place=st.floats(0, 1))
def test_damage_in_the_index_never_does_more_than_lose_tensors(tmp_path_factory, data, place):
    folder = tmp_path_factory.mktemp("damage") / "run"
    write(folder, [torch.full((10,), float(number)) for number in range(4)])
    whole = (folder / "index.jsonl").read_bytes()
    at = int(place * len(whole))
    (folder / "index.jsonl").write_bytes(whole[:at] + data + whole[at + len(data) :])
    try:
        recording = open_own(folder, check_digests=True)
    except (InputError, StoreError):
        return
    for item in recording.records:
        try:
            item.read()
        except StoreCorrupt:
            continue


def test_links_are_not_followed_out_of_the_folder(run, tmp_path):
    (run / "tensors-00000.safetensors").rename(tmp_path / "elsewhere")
    (run / "tensors-00000.safetensors").symlink_to(tmp_path / "elsewhere")
    assert "missing" in open_own(run).refused[0].reason


_CHILD = """
import sys, torch
from torch import nn
from outgrow.capture import record
model = nn.Sequential(nn.Linear(64, 256), nn.Linear(256, 64))
with record(model, sys.argv[1]) as recorder:
    while True:
        model(torch.randn(128, 64))
        if recorder.records > 100:
            print("going", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_leaves_all_but_its_last_records(tmp_path, seed):
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, tmp_path / "run"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "going\n"
        time.sleep(0.01 * seed)
        with (
            pytest.raises(StoreLocked, match=f"process {child.pid}"),
            record(nn.Identity(), tmp_path / "run"),
        ):
            pass
        child.send_signal(signal.SIGKILL)
        child.stdout.close()
    recording = open_own(tmp_path / "run")
    assert len(recording.records) > 100
    # An unfinished recording's digests are compared as it is read.
    assert all(item.read().isfinite().all() for item in recording.records)
    assert [item.sequence for item in recording.records] == list(range(len(recording.records)))
    assert any("not finished" in refusal.reason for refusal in recording.refused)
    with pytest.raises(InputError, match="already"), record(nn.Identity(), tmp_path / "run"):
        pass


class FullDisk:
    """Stands in for `os.pwrite` and `os.write`: files may grow by so many bytes together."""

    def __init__(self, nbytes):
        self.left = nbytes
        self._pwrite, self._write = os.pwrite, os.write

    def _take(self, wanted, growth):
        if growth > 0 and not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allowed = min(wanted, wanted - growth + self.left) if growth > 0 else wanted
        self.left -= max(0, growth - (wanted - allowed))
        return allowed

    def pwrite(self, descriptor, data, offset):
        growth = min(len(data), offset + len(data) - os.fstat(descriptor).st_size)
        return self._pwrite(descriptor, memoryview(data)[: self._take(len(data), growth)], offset)

    def write(self, descriptor, data):
        return self._write(descriptor, memoryview(data)[: self._take(len(data), len(data))])


def record_until_full(model, folder, values):
    """How many values went through `model` before the recording failed."""
    with record(model, folder) as recorder:
        for calls in range(1, 100):
            model(values)
            deadline = time.monotonic() + 5
            while recorder.records < calls and recorder.failure is None:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            if recorder.failure is not None:
                break
    return calls


@pytest.mark.parametrize("nbytes", [0, 50, 1_000, 262_000, 262_700, 264_000, 270_000, 300_000])
def test_a_full_disk_ends_the_recording_and_loses_nothing_before_it(tmp_path, nbytes):
    disk = FullDisk(nbytes)
    with (
        pytest.raises(StoreError, match=r"space|cannot write"),
        mock.patch("os.pwrite", disk.pwrite),
        mock.patch("os.write", disk.write),
    ):
        record_until_full(nn.Identity(), tmp_path / "run", torch.randn(100))
    if not is_recording(tmp_path / "run"):
        assert nbytes < 300
        return
    recording = open_own(tmp_path / "run")
    assert len(recording.records) >= (nbytes - 262_144) // 800
    for item in recording.records:
        item.read()
    for file in (tmp_path / "run").glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            assert len(list(opened.keys())) >= len(recording.records)


def test_a_run_on_a_full_disk_goes_on_with_a_warning(tmp_path):
    model, disk = nn.Identity(), FullDisk(270_000)

    def run(recorder):
        while recorder.failure is None:
            assert torch.equal(model(torch.ones(100)), torch.ones(100))
        with pytest.warns(RuntimeWarning, match="ended early"):
            model(torch.ones(1))

    with (
        pytest.raises(StoreError, match="space"),
        mock.patch("os.pwrite", disk.pwrite),
        record(model, tmp_path / "run") as recorder,
    ):
        run(recorder)


def test_an_index_that_cannot_grow_ends_the_recording(tmp_path):
    disk = FullDisk(1000)
    with pytest.raises(StoreError, match=r"cannot write .*index.jsonl"), mock.patch("os.write", disk.write):
        record_until_full(nn.Identity(), tmp_path / "run", torch.ones(4))
    recording = open_own(tmp_path / "run")
    assert all(item.read().tolist() == [1] * 4 for item in recording.records)
    assert len(recording.records) >= 2
    assert not any("cut off" in refusal.reason for refusal in recording.refused)


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ((0, 1, 2, 3), ()),
        ((0, 1, 3), ("of 4 ranks 1 left no recording here: 2",)),
        ((1, 3), ("of 4 ranks 2 left no recording here: 0, 2",)),
        ((2,), ()),
    ],
    ids=["all", "one missing", "two missing", "a folder of its own"],
)
def test_ranks_that_left_nothing_are_named(tmp_path, ranks, said):
    model = nn.Linear(3, 3)
    for rank in ranks:
        with record(model, tmp_path / "run", rank=rank, world_size=4):
            model(torch.ones(2, 3))
    with open_own(tmp_path / "run") as recording:
        assert tuple(refusal.reason for refusal in recording.refused) == said
        assert {found.rank for found in recording.records} == set(ranks)
