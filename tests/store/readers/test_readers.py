import errno
import gc
import mmap
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError, StoreError
from outgrow.store.readers import READERS, BufferedReader, DirectReader, make_reader
from outgrow.testing.faults import FaultyReader, faulty_reads

PAGE = 4096
CONTENT = np.random.default_rng(0).integers(0, 256, 40 * PAGE + 123, dtype=np.uint8).tobytes()
KINDS = tuple(READERS)
PREADV_KINDS = ("buffered", "direct")


def descriptors() -> set[str]:
    """What is open now; empty where the platform does not say."""
    folder = Path("/proc/self/fd")
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("content") / "content"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(params=KINDS)
def reader(request, file):
    return open_reader(request.param, file)


def open_reader(kind: str, file: Path):
    try:
        return make_reader(kind, file)
    except InputError as err:
        pytest.skip(str(err))


def pages(count: int) -> memoryview:
    return memoryview(mmap.mmap(-1, max(1, count) * PAGE))[: count * PAGE]


def test_reads_what_is_there(reader, file):
    with reader:
        for first, count in ((0, 1), (3, 5), (39, 1), (0, 40)):
            into = pages(count)
            assert reader.read_into(file, first * PAGE, into) == count * PAGE
            assert into == CONTENT[first * PAGE : (first + count) * PAGE]


def test_a_rounded_up_range_may_pass_the_end(reader, file):
    into = pages(2)
    with reader:
        came = reader.read_into(file, 40 * PAGE, into, needed=123)
    assert came == 123
    assert into[:123] == CONTENT[40 * PAGE :]


def test_a_file_that_ends_too_early_is_named(reader, file):
    with (
        reader,
        pytest.raises(StoreError, match=r"expected 124 bytes from byte 163,840, found 123") as caught,
    ):
        reader.read_into(file, 40 * PAGE, pages(2), needed=124)
    assert str(file) in str(caught.value)
    assert "163,963 bytes" in str(caught.value)
    assert caught.value.hint


def test_past_the_end_there_is_nothing(reader, file):
    with reader:
        assert reader.read_into(file, 100 * PAGE, pages(1), needed=0) == 0
        assert reader.read_into(file, 0, pages(0)) == 0
        with pytest.raises(StoreError, match="found 0"):
            reader.read_into(file, 100 * PAGE, pages(1))


def test_bad_requests_are_refused(reader, file):
    with reader:
        with pytest.raises(InputError):
            reader.read_into(file, -PAGE, pages(1))
        with pytest.raises(InputError):
            reader.read_into(file, 0, pages(1), needed=PAGE + 1)
        with pytest.raises(InputError, match="read-only"):
            reader.read_into(file, 0, memoryview(bytes(PAGE)))
        with pytest.raises(StoreError, match="cannot open"):
            reader.read_into(file.with_name("gone"), 0, pages(1))


def test_close_is_final_and_may_come_twice(reader, file):
    gc.collect()  # what other tests have left must not go in between
    before = descriptors()
    reader.read_into(file, 0, pages(1))
    reader.close()
    reader.close()
    gc.collect()
    assert descriptors() == before
    with pytest.raises(StoreError, match="the reader is closed"):
        reader.read_into(file, 0, pages(1))


def test_fifty_rounds_leave_no_descriptor(file):
    gc.collect()
    before = descriptors()
    for kind in KINDS * 50:
        with open_reader(kind, file) as reader:
            reader.read_into(file, 0, pages(1))
    gc.collect()
    assert descriptors() == before


def test_threads_read_at_once(reader, file):
    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(50):
            first = int(generator.integers(0, 39))
            count = int(generator.integers(1, 40 - first + 1))
            into = pages(count)
            assert reader.read_into(file, first * PAGE, into) == count * PAGE
            assert into == CONTENT[first * PAGE : (first + count) * PAGE]

    with reader, ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(8)))


def test_close_waits_for_reads_under_way(file, monkeypatch):
    reading, go_on, log = threading.Event(), threading.Event(), []
    real = os.preadv

    def slow(*args):
        reading.set()
        assert go_on.wait(10)
        log.append("read")
        return real(*args)

    monkeypatch.setattr(os, "preadv", slow)
    reader = BufferedReader()
    thread = threading.Thread(target=reader.read_into, args=(file, 0, pages(1)))
    thread.start()
    assert reading.wait(10)
    closer = threading.Thread(target=lambda: (reader.close(), log.append("closed")))
    closer.start()
    time.sleep(0.05)
    assert log == []
    go_on.set()
    closer.join(10)
    thread.join(10)
    assert log == ["read", "closed"]


@pytest.mark.parametrize("kind", PREADV_KINDS)
@given(
    schedule=st.lists(st.sampled_from(("ok", "short", "half", "empty", "eintr")), max_size=20),
    first=st.integers(0, 39),
    count=st.integers(1, 5),
)
def test_disturbed_reads_give_the_same_bytes(file, kind, schedule, first, count):
    into = pages(count)
    needed = min(count * PAGE, len(CONTENT) - first * PAGE)
    with open_reader(kind, file) as reader, faulty_reads(schedule):
        came = reader.read_into(file, first * PAGE, into, needed=needed)
    assert came >= needed
    assert into[:needed] == CONTENT[first * PAGE :][:needed]


@pytest.mark.parametrize("kind", PREADV_KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_bad_disk_for_long_gives_the_same_bytes(file, kind, seed):
    with open_reader(kind, file) as reader, faulty_reads(seed=seed) as faults:
        for first in range(35):
            into = pages(5)
            reader.read_into(file, first * PAGE, into)
            assert into == CONTENT[first * PAGE : (first + 5) * PAGE]
    assert {"short", "half", "empty", "eintr"} <= {fault for fault, _ in faults.calls}


@pytest.mark.parametrize("kind", PREADV_KINDS)
def test_an_input_output_error_names_file_and_offset(file, kind):
    with open_reader(kind, file) as reader, faulty_reads(["half", "eio"]):
        with pytest.raises(StoreError, match=r"failed at byte 8,192, 4,096 of 8,192 bytes in") as caught:
            reader.read_into(file, PAGE, pages(2))
        assert str(file) in str(caught.value)
        assert caught.value.__cause__.errno == errno.EIO
        # The reader is as good as before.
        assert reader.read_into(file, PAGE, pages(2)) == 2 * PAGE


@pytest.mark.parametrize("kind", PREADV_KINDS)
def test_a_disk_that_gives_nothing_is_given_up(file, kind):
    with (
        open_reader(kind, file) as reader,
        faulty_reads(["empty"] * 1000),
        pytest.raises(StoreError, match=r"found 0; the file has 163,963 bytes"),
    ):
        reader.read_into(file, 0, pages(1))


def test_buffered_without_preadv(file, monkeypatch):
    monkeypatch.delattr(os, "preadv")
    with make_reader("buffered") as reader, ThreadPoolExecutor(4) as threads:

        def work(first: int) -> bool:
            into = memoryview(bytearray(777))
            return reader.read_into(file, first, into) == 777 and into == CONTENT[first : first + 777]

        assert all(threads.map(work, range(0, 160_000, 500)))
    with make_reader("auto", file) as reader:
        assert reader.name == "buffered"


@pytest.mark.parametrize("kind", ["buffered", "mmap"])
@given(offset=st.integers(0, len(CONTENT)), size=st.integers(0, 9000))
def test_any_offset_goes_where_alignment_is_one(file, kind, offset, size):
    into = memoryview(bytearray(size + 1))[1:]
    needed = min(size, len(CONTENT) - offset)
    with make_reader(kind) as reader:
        assert reader.alignment == 1
        assert reader.read_into(file, offset, into, needed=needed) == needed
    assert into[:needed] == CONTENT[offset : offset + size]


def test_buffers_of_other_formats_are_bytes_too(file):
    into = np.zeros((8, 64), np.float64)
    with BufferedReader() as reader:
        assert reader.read_into(file, 0, memoryview(into)) == 4096
    assert into.tobytes() == CONTENT[:4096]


@pytest.mark.parametrize(
    ("offset", "start", "length"),
    [(1, 0, PAGE), (0, 1, PAGE), (0, 0, 100)],
    ids=["offset", "address", "length"],
)
def test_direct_refuses_what_is_not_aligned(file, offset, start, length):
    with open_reader("direct", file) as reader, pytest.raises(InputError, match="needs multiples of 4096"):
        reader.read_into(file, offset, pages(2)[start : start + length])


def test_auto_asks_the_file_system(file, monkeypatch):
    assert make_reader("auto", None).name == "buffered"
    works = make_reader("auto", file).name == "direct"
    assert (make_reader("auto", file.parent).name == "direct") == works

    def refuse(path, flags, *args, real=os.open):
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(path, flags, *args)

    monkeypatch.setattr(os, "open", refuse)
    assert make_reader("auto", file).name == "buffered"
    with pytest.raises(InputError, match="refuses direct reads"):
        make_reader("direct", file)
    # Never silently something else:
    with DirectReader() as reader, pytest.raises(StoreError, match="cannot open"):
        reader.read_into(file, 0, pages(1))


def test_auto_says_when_the_path_is_not_there(file):
    with pytest.raises(StoreError, match="cannot read"):
        make_reader("auto", file.with_name("gone"))


def test_an_unknown_reader_is_named_with_the_nearest():
    with pytest.raises(InputError, match="no reader is called 'bufered'") as caught:
        make_reader("bufered")
    assert "buffered" in caught.value.hint


def test_every_reader_goes_by_its_own_name():
    for kind in KINDS:
        with make_reader(kind) as reader:
            assert reader.name == kind


def test_a_file_truncated_while_mapped_is_an_error_and_not_a_signal(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    with make_reader("mmap") as reader:
        reader.read_into(path, 0, pages(4))
        os.truncate(path, PAGE)
        with pytest.raises(StoreError, match="the file has 4,096 bytes"):
            reader.read_into(path, 0, pages(4))
        path.write_bytes(CONTENT * 2)
        assert reader.read_into(path, 41 * PAGE, pages(4)) == 4 * PAGE


def test_the_faulty_reader_fails_as_told(file):
    with FaultyReader(make_reader("buffered"), {1}) as reader:
        assert reader.read_into(file, 0, pages(1)) == PAGE
        with pytest.raises(StoreError, match="on purpose, at call 1"):
            reader.read_into(file, 0, pages(1))
        assert reader.read_into(file, 0, pages(1)) == PAGE
