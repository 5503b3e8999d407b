import os
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import HEADER_BYTES, FrameKind, FrameReader, ProtocolError, pack_header
from outgrow.shard.wire.shared_bytes import make_shared, open_shared


@pytest.fixture
def pair():
    made = [Connection(one, limit=1 << 24) for one in socket.socketpair()]
    yield made
    for one in made:
        one.close()


def _feed(reader, data, sizes):
    frames, at, turn = [], 0, 0
    while at < len(data):
        space = reader.space()
        take = min(len(space), sizes[turn % len(sizes)], len(data) - at)
        space[:take] = data[at : at + take]
        del space
        frames += reader.filled(take)
        at, turn = at + take, turn + 1
    return frames


@given(
    st.lists(st.integers(0, 700_000), min_size=1, max_size=5),
    st.lists(st.integers(1, 300_000), min_size=1, max_size=4),
)
def test_frames_come_out_whole_however_the_bytes_come(lengths, sizes):
    sizes = [max(size, sum(lengths) // 500) for size in sizes]  # not byte by byte through megabytes
    payloads = [os.urandom(length) for length in lengths]
    data = b"".join(pack_header(FrameKind.CALL, len(one), session=2, sequence=3) + one for one in payloads)
    frames = _feed(FrameReader(1 << 24), data, sizes)
    assert [bytes(frame.payload) for frame in frames] == payloads
    assert {(frame.kind, frame.session, frame.sequence) for frame in frames} == {(FrameKind.CALL, 2, 3)}


def test_a_frame_longer_than_the_limit_is_refused_before_anything_is_allocated():
    reader = FrameReader(1000)
    with pytest.raises(ProtocolError, match="1,000"):
        _feed(reader, pack_header(FrameKind.PUT, 1 << 60), [HEADER_BYTES])


def test_a_liars_header_makes_nobody_allocate():
    reader = FrameReader(1 << 40)
    assert _feed(reader, pack_header(FrameKind.PUT, 1 << 39) + bytes(100), [1000]) == []
    assert len(reader.space()) <= 2 << 20


def test_unknown_kinds_and_files_that_did_not_come_are_refused():
    with pytest.raises(ProtocolError, match="kind 250"):
        _feed(FrameReader(100), bytes(8) + b"\xfa" + bytes(HEADER_BYTES - 9), [100])
    with pytest.raises(ProtocolError, match="1 files"):
        _feed(FrameReader(100), pack_header(FrameKind.PUT, 0, files=1), [100])


def test_files_come_with_their_frames(pair):
    ours, theirs = pair
    contents = [os.urandom(1000 + index) for index in range(6)]
    for index, one in enumerate(contents):
        file = make_shared(one)
        ours.queue(FrameKind.ASK, b"between")
        ours.queue(FrameKind.PUT, str(index).encode(), files=(file,))
        os.close(file)
    ours.flush_all()
    frames = []
    while len(frames) < 12:
        frames += theirs.wait(time.monotonic() + 5)
    assert [len(frame.files) for frame in frames] == [0, 1] * 6
    for frame, one in zip(frames[1::2], contents, strict=True):
        assert bytes(open_shared(frame.files[0], len(one))) == one
        os.close(frame.files[0])


def test_large_frames_pass_while_both_sides_send(pair):
    ours, theirs = pair
    data = os.urandom(3 << 20)
    ours.queue(FrameKind.PUT, data)
    theirs.queue(FrameKind.REPLY, data)
    found = []
    for _ in range(10_000):
        ours.flush(), theirs.flush()
        found += [*ours.receive(), *theirs.receive()]
        if len(found) == 2:
            break
    assert [bytes(frame.payload) == data for frame in found] == [True, True]


def test_the_end_of_the_other_side_and_silence_are_told(pair):
    ours, theirs = pair
    with pytest.raises(ConnectionEnded, match="in time"):
        ours.wait(time.monotonic() + 0.05)
    theirs.close()
    with pytest.raises(ConnectionEnded, match="closed"):
        ours.wait()


def test_files_that_could_change_or_shrink_are_refused(tmp_path):
    open_file = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(open_file, b"12345")
    sealed = make_shared(b"12345")
    plain = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        for file, nbytes in ((open_file, 5), (sealed, 4), (sealed, 6), (plain, 0)):
            with pytest.raises(ProtocolError):
                open_shared(file, nbytes)
        with pytest.raises(PermissionError):
            os.write(sealed, b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(sealed, 0)
        view = open_shared(sealed, 5)
        view[0] = 0  # pages of our own
        assert bytes(open_shared(sealed, 5)) == b"12345"
    finally:
        for file in (open_file, sealed, plain):
            os.close(file)
