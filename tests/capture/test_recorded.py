"""What was recorded is read back bit by bit."""

import errno
import os
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from outgrow.capture import is_recording, open_own
from outgrow.capture.nonfinite import count_nonfinite
from outgrow.errors import InputError, StoreError
from outgrow.testing.strategies import DTYPES, tensors
from tests.capture.small_recordings import numbers, write

PAIRS = (torch.complex128, torch.complex32)


def bits(tensor):
    if tensor.dtype in PAIRS:
        tensor = torch.view_as_real(tensor)
    plain = tensor.contiguous()
    return plain.as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy().tobytes()


@settings(max_examples=40)
@given(
    values=st.lists(
        tensors(dtypes=(*DTYPES, *PAIRS)).flatmap(
            lambda value: st.sampled_from([value, value.transpose(0, -1) if value.ndim else value])
        ),
        max_size=6,
    ),
    file_bytes=st.sampled_from([16, 2**30]),
)
def test_any_tensor_comes_back_bit_by_bit(tmp_path_factory, values, file_bytes):
    folder = tmp_path_factory.mktemp("recording") / "run"
    write(folder, values, file_bytes=file_bytes)
    with open_own(folder, check_digests=True) as recording:
        assert recording.refused == ()
        for item, value in zip(recording.records, values, strict=True):
            found = item.read()
            assert (found.dtype, found.shape, item.dtype, item.shape) == (value.dtype, value.shape) * 2
            assert bits(found) == bits(value)
            if value.dtype.is_floating_point and value.dtype != torch.float4_e2m1fn_x2:
                assert item.nan_count == int(value.double().isnan().sum())
                assert item.inf_count == int(value.double().isinf().sum())
    seen = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            seen += len([key for key in opened.keys() if not key.startswith("__pad")])  # noqa: SIM118
    assert seen == len(values)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_complex_number_counts_once(dtype):
    nan, inf = float("nan"), float("inf")
    parts = [complex(nan, nan), complex(1, nan), complex(nan, inf), complex(inf, 1), complex(1, 2)]
    values = torch.tensor(parts, dtype=dtype)
    assert count_nonfinite(memoryview(bits(values)), dtype) == (3, 2)


def test_tensors_larger_than_any_buffer_come_back(tmp_path):
    values = [torch.randn(size) for size in (3_000_001, 5, 1_500_000, 1)]
    write(tmp_path / "run", values, buffer_bytes=1000)
    with open_own(tmp_path / "run", check_digests=True) as recording:
        assert all(map(torch.equal, values, [item.read() for item in recording.records]))


def test_a_disk_without_direct_writes_holds_the_same(tmp_path):
    values = [torch.randn(3_000_001), torch.arange(7)]

    def refuse(path, flags, *mode):
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no direct writes")
        return real(path, flags, *mode)

    real = os.open
    with mock.patch("os.open", refuse):
        write(tmp_path / "run", values)
    with open_own(tmp_path / "run", check_digests=True) as recording:
        assert all(map(torch.equal, values, [item.read() for item in recording.records]))


def test_files_follow_each_other_when_they_are_full(tmp_path):
    write(tmp_path / "run", [torch.zeros(100) for _ in range(10)], file_bytes=1000)
    assert len(list((tmp_path / "run").glob("*.safetensors"))) == 5
    assert len(open_own(tmp_path / "run").records) == 10


def test_tensors_may_be_written_to_without_harm(run):
    with open_own(run) as recording:
        recording.records[0].read().fill_(9)
    assert numbers(open_own(run)) == [0, 1, 2, 3]


def test_tensors_outlive_their_recording_and_are_not_read_after_it(run):
    recording = open_own(run)
    kept = recording.records[2].read()
    recording.close()
    recording.close()
    assert kept.tolist() == [2.0] * 10
    with pytest.raises(StoreError, match="closed"):
        recording.records[0].read()


def test_recordings_are_told_from_other_folders(run, tmp_path):
    assert is_recording(run)
    assert is_recording(run / "index.jsonl")
    assert not is_recording(tmp_path)
    assert not is_recording(tmp_path / "nothing")
    assert not is_recording(run / "tensors-00000.safetensors")
    (tmp_path / "index.jsonl").write_text('{"format": "something else"}\n')
    assert not is_recording(tmp_path)
    with pytest.raises(InputError, match="no recording"):
        open_own(tmp_path)


def test_one_rank_is_opened_by_its_index(run):
    assert numbers(open_own(run / "index.jsonl")) == [0, 1, 2, 3]
