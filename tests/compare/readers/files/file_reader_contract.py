"""What every reader of files keeps to. Subclass it, give a suffix and a way to write such files."""

import errno
import os
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from outgrow.compare.readers.dtypes import DTYPES
from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.limits import Limits
from outgrow.errors import OutgrowError, StoreError
from outgrow.testing.strategies import tensors

LIMITS = Limits(max_bytes=2**24, max_header_bytes=2**16, max_expanded_bytes=2**20, max_entries=1000)


def read_all(content: FileContent) -> dict[str, Tensor]:
    found = {}
    for record in content.records:
        tensor = record.read()
        assert tensor.dtype == record.dtype, record
        assert tuple(tensor.shape) == record.shape, record
        assert tensor.layout is torch.strided
        assert not tensor.is_quantized
        found[record.inner] = tensor
    return found


def bits(tensor: Tensor) -> bytes:
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    flat.copy_(tensor.reshape(-1))
    return bytes(flat.view(torch.uint8).tolist())


def same(actual: Tensor, expected: Tensor) -> bool:
    return (
        actual.dtype == expected.dtype and actual.shape == expected.shape and bits(actual) == bits(expected)
    )


class FileReaderContract:
    suffix: str
    dtypes = tuple(DTYPES.values())
    """What such a file can hold."""
    holds_many = True
    keeps_order = True

    def save(self, path: Path, named: dict[str, Tensor]) -> None:
        raise NotImplementedError

    def inner(self, name: str) -> str:
        """What the reader calls the tensor saved as `name`."""
        return name if self.holds_many else ""

    def file(self, folder: Path, named: dict[str, Tensor] | None = None) -> Path:
        path = folder / f"file{self.suffix}"
        self.save(path, named or {"x": torch.arange(12.0).reshape(3, 4)})
        return path

    def test_reads_the_bits_that_were_written(self, tmp_path_factory):
        @given(data=st.data())
        def check(data):
            count = data.draw(st.integers(1, 4)) if self.holds_many else 1
            named = {f"key{index}": data.draw(tensors(dtypes=self.dtypes)) for index in range(count)}
            path = self.file(tmp_path_factory.mktemp("round"), named)
            content = read_entry(path, path.name, Limits())
            assert content.refused == ()
            found = read_all(content)
            names = [self.inner(name) for name in named]
            assert list(found) == names if self.keeps_order else set(found) == set(names)
            assert all(same(found[self.inner(name)], tensor) for name, tensor in named.items())

        check()

    @pytest.mark.parametrize("shift", [1, 64, 4097])
    def test_reads_a_region_of_a_bigger_file(self, tmp_path, shift):
        whole = self.file(tmp_path).read_bytes()
        bigger = tmp_path / "bigger"
        bigger.write_bytes(os.urandom(shift) + whole + os.urandom(100))
        entry = f"folder/file{self.suffix}"
        (tensor,) = read_all(read_entry(bigger, entry, Limits(), (shift, len(whole)))).values()
        assert tensor.tolist() == torch.arange(12.0).reshape(3, 4).tolist()

    def test_refuses_a_region_beyond_the_file(self, tmp_path):
        path = self.file(tmp_path)
        size = path.stat().st_size
        (refusal,) = read_entry(path, f"x{self.suffix}", Limits(), (1, size)).refused
        assert "should end at byte" in refusal.reason

    def test_suffixes_are_read_in_any_case(self, tmp_path):
        path = self.file(tmp_path)
        assert len(read_entry(path, f"FILE{self.suffix.upper()}", Limits()).records) == 1

    def test_a_file_that_changed_since_is_named(self, tmp_path):
        path = self.file(tmp_path)
        (record,) = read_entry(path, path.name, Limits()).records
        os.utime(path, ns=(0, 0))
        with pytest.raises(StoreError, match="changed or replaced"):
            record.read()

    def test_a_file_that_is_gone_is_named(self, tmp_path):
        path = self.file(tmp_path)
        (record,) = read_entry(path, path.name, Limits()).records
        path.unlink()
        with pytest.raises(StoreError, match="No such file"):
            record.read()

    def test_what_was_read_outlives_the_file(self, tmp_path):
        path = self.file(tmp_path)
        (record,) = read_entry(path, path.name, Limits()).records
        tensor = record.read()
        path.unlink()
        assert tensor.sum() == 66

    def test_writing_to_what_was_read_does_not_reach_the_file(self, tmp_path):
        path = self.file(tmp_path)
        before = path.read_bytes()
        (record,) = read_entry(path, path.name, Limits()).records
        record.read().zero_()
        assert path.read_bytes() == before
        assert record.read().sum() == 66

    def test_leaves_no_file_open(self, tmp_path):
        path = self.file(tmp_path)
        before = len(list(Path("/proc/self/fd").iterdir()))
        content = read_entry(path, path.name, Limits())
        kept = [record.read() for record in content.records]
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert kept

    @pytest.mark.parametrize("kind", ["link", "fifo", "folder", "missing"])
    def test_refuses_what_is_no_file_without_opening_it(self, tmp_path, kind):
        path = tmp_path / f"odd{self.suffix}"
        if kind == "link":
            path.symlink_to(self.file(tmp_path))
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        content = read_entry(path, path.name, Limits())
        assert content.records == ()
        (refusal,) = content.refused
        says = {
            "link": "a link",
            "fifo": "a pipe",
            "folder": "a directory",
            "missing": os.strerror(errno.ENOENT),
        }
        assert says[kind] in refusal.reason
        assert refusal.entry == path.name

    @pytest.mark.parametrize(
        "content", [b"", b"x", b"hello world, this is no file of tensors" * 10, b"\0" * 4096]
    )
    def test_refuses_what_is_of_another_kind(self, tmp_path, content):
        path = tmp_path / f"other{self.suffix}"
        path.write_bytes(content)
        found = read_entry(path, path.name, Limits())
        assert found.records == ()
        assert [refusal.entry for refusal in found.refused] == [path.name]

    def test_is_refused_wherever_it_is_cut(self, tmp_path):
        whole = self.file(tmp_path).read_bytes()
        path = tmp_path / f"cut{self.suffix}"
        for end in sorted(random.Random(0).sample(range(len(whole)), min(60, len(whole)))):
            path.write_bytes(whole[:end])
            content = read_entry(path, path.name, Limits())
            assert content.refused, f"cut at {end} of {len(whole)}"
            assert content.records == ()

    def test_any_bytes_end_in_tensors_or_refusals(self, tmp_path_factory):
        """The fuzz target: nothing but refusals and `OutgrowError` may come of a damaged file."""

        @given(data=st.data())
        def check(data):
            folder = tmp_path_factory.mktemp("fuzz")
            named = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)}
            content = bytearray(
                self.file(folder, named if self.holds_many else {"a": named["a"]}).read_bytes()
            )
            places = st.integers(0, len(content) - 1)
            for _ in range(data.draw(st.integers(1, 6))):
                at = data.draw(places)
                how = data.draw(st.sampled_from(["set", "flip", "insert", "drop", "copy"]))
                if how == "set":
                    content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=4))
                elif how == "flip" and at < len(content):
                    content[at] ^= 1 << data.draw(st.integers(0, 7))
                elif how == "insert":
                    content[at:at] = data.draw(st.binary(min_size=1, max_size=9))
                elif how == "drop":
                    del content[at : at + data.draw(st.integers(1, 9))]
                else:
                    content[at:at] = content[at : at + data.draw(st.integers(1, 200))]
            path = folder / f"fuzzed{self.suffix}"
            path.write_bytes(content)
            try_all(path)

        check()


def try_all(path: Path) -> None:
    """Read all that a reader gives; nothing but an `OutgrowError` may come of it."""
    content = read_entry(path, path.name, LIMITS)
    for record in content.records:
        try:
            tensor = record.read()
        except OutgrowError:
            continue
        assert (tensor.dtype, tuple(tensor.shape)) == (record.dtype, record.shape)
