"""Reads through kvikio, and what goes another way."""

import contextlib
import sys
import types

import pytest
import torch

from outgrow.devices.gpudirect import GpuDirectState
from outgrow.errors import DeviceError, StoreError
from outgrow.stream.backends.gpudirect import DeviceFiles, GpuDirectBackend, check_gpudirect
from tests.stream.backend_cases import CPU, OPEN, Model, new_reader, run_passes
from tests.stream.fake_device import FakeDevice, FakeDisk


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(tmp_path_factory.mktemp("backends"))


@pytest.fixture(autouse=True)
def _close_readers():
    yield
    while OPEN:
        OPEN.pop().close()


class FakeKvikio:
    """As much of kvikio as is used. Its CuFile reads at most `most` bytes at a time into main memory."""

    CompatMode = types.SimpleNamespace(OFF="off", AUTO="auto")

    def __init__(self, most=1 << 30, refusal=None) -> None:
        self.mode = "auto"
        self.opened, self.closed = [], []
        outer = self

        class CuFile:
            def __init__(self, path, flags) -> None:
                if refusal:
                    raise refusal
                assert flags == "r"
                outer.opened.append((path, outer.mode))
                self.file = path.open("rb")

            def raw_read(self, buf, size, file_offset, dev_offset):
                assert buf.numel() >= size
                self.file.seek(file_offset)
                data = self.file.read(min(size, most))
                buf[dev_offset : dev_offset + len(data)] = torch.frombuffer(
                    bytearray(data or b"x"), dtype=torch.uint8
                )[: len(data)]
                return len(data)

            def close(self):
                self.file.close()
                outer.closed.append(self)

        @contextlib.contextmanager
        def set_mode(key, value):
            assert key == "compat_mode"
            before, self.mode = self.mode, value
            yield
            self.mode = before

        self.CuFile = CuFile
        self.defaults = types.SimpleNamespace(set=set_mode)


def test_kvikio_may_not_fall_back_on_its_own(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(range(256)) * 64)
    kvikio = FakeKvikio()
    files = DeviceFiles(CPU, kvikio)
    into = torch.zeros(4096, dtype=torch.uint8)
    for _ in range(2):
        assert files.read_into(path, 4096, into, needed=4096) == 4096
    assert bytes(into.numpy()) == bytes(range(256)) * 16
    assert kvikio.opened == [(path, "off")]
    assert kvikio.mode == "auto", "other users of kvikio keep their setting"
    files.close()
    files.close()
    assert len(kvikio.closed) == 1


def test_short_reads_are_taken_up_where_they_ended(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(range(250)) * 40)
    files = DeviceFiles(CPU, FakeKvikio(most=999))
    into = torch.zeros(12288, dtype=torch.uint8)
    assert files.read_into(path, 0, into, needed=10_000) == 10_000
    assert bytes(into[:10_000].numpy()) == bytes(range(250)) * 40
    with pytest.raises(
        StoreError, match=r"ended at byte 10,000: expected 10,001 bytes from byte 0, found 10,000"
    ):
        files.read_into(path, 0, into, needed=10_001)
    files.close()


def test_a_file_that_cufile_refuses_is_an_error_and_no_slow_read(tmp_path):
    files = DeviceFiles(CPU, FakeKvikio(refusal=RuntimeError("cuFile: not supported on overlayfs")))
    with pytest.raises(DeviceError, match="not supported on overlayfs") as caught:
        files.read_into(tmp_path / "f", 0, torch.zeros(8, dtype=torch.uint8), needed=8)
    assert "backend='cuda'" in caught.value.hint


def test_gpudirect_reads_in_place_what_needs_no_change_and_stages_the_rest(model):
    device = FakeDevice()
    disk = FakeDisk()
    backend = GpuDirectBackend(CPU, new_reader(), streams=device, files=disk)
    plan = run_passes(model, backend, device, 3)
    direct = {i for i in plan.order if plan.footprints[i].is_in_place}
    assert direct
    assert set(plan.order) - direct
    assert disk.reads
    assert all(offset % 4096 == 0 and nbytes % 4096 == 0 for offset, nbytes in disk.reads)
    assert all(plan.pieces[i].weight.dtype == plan.pieces[i].weight.source.dtype for i in direct)


def test_gpudirect_says_why_it_does_not_work():
    state = GpuDirectState(is_usable=False, reason="kvikio is not installed (pip install 'outgrow[gds]')")
    with pytest.raises(DeviceError, match="kvikio is not installed") as caught:
        check_gpudirect(lambda: state)
    assert "outgrow[gds]" in caught.value.hint
    check_gpudirect(lambda: GpuDirectState(is_usable=True, reason="it does"))


def test_kvikio_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kvikio", None)
    with pytest.raises(DeviceError, match="needs kvikio") as caught:
        DeviceFiles(CPU)
    assert "pip install 'outgrow[gds]'" in caught.value.hint
