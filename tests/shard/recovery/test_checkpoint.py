"""Checkpoints: the same bits, strides and shared memory; torn, mixed up and damaged ones are refused."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError, StoreError
from outgrow.shard.recovery.checkpoint import CheckpointDamaged, SessionState, load, store
from outgrow.shard.recovery.checkpoint_files import CheckpointFiles

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.uint8]


def holding(values, **state):
    return SessionState(state=state, pieces=[(value, 0, piece) for value, piece in values.items()])


@pytest.fixture
def file():
    with CheckpointFiles(1) as files:
        yield files.of(0)[0]


def again(file, values, **state):
    store(file, 7, {3: holding(values, **state)})
    return pieces(load(file, 7)[3])


def pieces(session):
    return {value: piece for value, _, piece in session.pieces}


def bits(tensor):
    return tensor.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 3), (3, 0, 2)], ids=str)
def test_the_same_bits_and_strides(file, dtype, shape):
    piece = torch.randn(shape).to(dtype)
    got = again(file, {1: piece})[1]
    assert (got.shape, got.stride(), got.dtype) == (piece.shape, piece.stride(), dtype)
    assert torch.equal(bits(got), bits(piece))


def test_nan_payloads_and_negative_zeros_survive(file):
    piece = torch.tensor([0x7FC0DEAD, -0x80000000, 0x7F800001], dtype=torch.int64).to(torch.int32)
    got = again(file, {1: piece.view(torch.float32)})[1]
    assert torch.equal(got.view(torch.int32), piece)


@given(st.permutations(range(3)), st.integers(0, 3), st.integers(1, 3))
def test_any_view_comes_back_as_it_was(order, start, step):
    with CheckpointFiles(1) as files:
        whole = torch.arange(5.0 * 6 * 7).reshape(5, 6, 7)
        piece = whole.permute(order)[start:, ::step]
        got = again(files.of(0)[0], {1: piece})[1]
    assert got.stride() == piece.stride()
    assert torch.equal(got, piece)


def test_an_expanded_tensor_takes_the_room_of_one_row(file):
    piece = torch.randn(1000).expand(500, 1000)
    assert store(file, 1, {1: holding({1: piece})}) < 20_000
    got = pieces(load(file, 1)[1])[1]
    assert got.stride() == (0, 1)
    assert torch.equal(got, piece)


def test_values_that_share_memory_share_it_again_across_sessions(file):
    whole = torch.randn(100)
    sessions = {
        1: holding({1: whole, 2: whole[10:20]}),
        2: holding({1: whole[90:]}),
    }
    assert store(file, 1, sessions) < 4096 + 400 + 64 + 2000
    got = load(file, 1)
    pieces(got[1])[1].fill_(5.0)
    assert (pieces(got[1])[2] == 5).all()
    assert (pieces(got[2])[1] == 5).all()


def test_a_small_view_of_a_large_tensor_is_stored_small(file):
    piece = torch.randn(1_000_000)[500_000:500_010]
    assert store(file, 1, {1: holding({1: piece})}) < 10_000
    got = pieces(load(file, 1)[1])[1]
    assert torch.equal(got, piece)
    assert got.data_ptr() % 64 == piece.data_ptr() % 64, "sums may depend on where in a line numbers begin"


def test_conjugate_and_negative_views(file):
    piece = torch.randn(4, dtype=torch.complex64)
    got = again(file, {1: piece.conj(), 2: piece.conj().imag})
    assert torch.equal(got[1].resolve_conj(), piece.conj().resolve_conj())
    assert torch.equal(got[2].resolve_neg(), -piece.imag)


def test_state_and_lanes(file):
    state = {"values": [{"value": 1, "placement": "S(0)"}], "decisions": [], "text": "größer"}
    given = [(9, 1, torch.ones(2)), (9, 0, torch.zeros(1))]
    store(file, 1, {4: SessionState(state=state, pieces=given), 5: SessionState(state={})})
    got = load(file, 1)
    assert got[4].state == state
    assert [(value, lane, piece.tolist()) for value, lane, piece in got[4].pieces] == [
        (9, 1, [1.0, 1.0]),
        (9, 0, [0.0]),
    ]
    assert (got[5].state, got[5].pieces) == ({}, ())


def test_nothing_at_all(file):
    store(file, 1, {})
    assert load(file, 1) == {}


def test_a_smaller_one_over_a_larger_one(file):
    store(file, 1, {1: holding({1: torch.randn(100_000)})})
    store(file, 2, {1: holding({1: torch.ones(3)})})
    assert os.fstat(file).st_size < 10_000
    assert torch.equal(pieces(load(file, 2)[1])[1], torch.ones(3))


def test_another_checkpoint_than_the_one_asked_for_is_refused(file):
    store(file, 4, {})
    with pytest.raises(CheckpointDamaged, match="holds checkpoint 4, expected 6"):
        load(file, 6)


def test_an_empty_file_is_no_checkpoint(file):
    with pytest.raises(CheckpointDamaged, match="never stored"):
        load(file, 1)


@pytest.mark.parametrize("survivors", [0, 1, 2])
def test_a_torn_one_is_refused(file, monkeypatch, survivors):
    """The rank dies after some of the writes, over an older whole checkpoint."""
    sessions = {1: holding({1: torch.randn(50_000), 2: torch.randn(50_000)})}
    store(file, 1, sessions)
    real, calls = os.pwrite, []

    def dying(*args):
        if len(calls) > survivors:
            raise OSError(28, "No space left on device")
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(os, "pwrite", dying)
    with pytest.raises(StoreError, match="No space left"):
        store(file, 2, sessions)
    for number in (1, 2):
        with pytest.raises(CheckpointDamaged):
            load(file, number)


@pytest.mark.parametrize("where", ["data", "index", "tail", "middle"])
def test_a_changed_byte_is_found(file, where):
    store(file, 1, {1: holding({1: torch.randn(600_000)})})
    size = os.fstat(file).st_size
    place = {"data": 4096, "index": size - 30, "tail": 4096 + 2_399_990, "middle": 1_500_000}[where]
    (byte,) = os.pread(file, 1, place)
    os.pwrite(file, bytes([byte ^ 0x10]), place)
    with pytest.raises(CheckpointDamaged):
        load(file, 1)


def test_a_file_cut_short_is_refused(file):
    store(file, 1, {1: holding({1: torch.randn(600_000)})})
    os.ftruncate(file, 500_000)
    with pytest.raises(CheckpointDamaged, match="500,000 bytes"):
        load(file, 1)


def test_no_more_room_than_allowed_and_the_old_one_stays(file):
    store(file, 1, {1: holding({1: torch.ones(3)})})
    big = {1: holding({1: torch.randn(100_000)})}
    with pytest.raises(StoreError, match="may take 300,000") as caught:
        store(file, 2, big, room_bytes=300_000)
    assert "GT_RECOVERY" in caught.value.hint
    assert torch.equal(pieces(load(file, 1)[1])[1], torch.ones(3))


def test_memory_files_leave_nothing_behind():
    before = set(Path("/proc/self/fd").iterdir())
    with CheckpointFiles(3) as files:
        assert len({descriptor for rank in range(3) for descriptor in files.of(rank)}) == 6
        store(files.of(2)[1], 1, {})
        assert load(files.of(2)[1], 1) == {}
        files.empty()
        with pytest.raises(CheckpointDamaged):
            load(files.of(2)[1], 1)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_files_in_a_directory_are_private_and_removed(tmp_path):
    with CheckpointFiles(2, tmp_path) as files:
        store(files.of(1)[0], 1, {})
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        assert len(list(tmp_path.iterdir())) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        CheckpointFiles(2, tmp_path / "none")
