import gc
import mmap
import os
import sys
from pathlib import Path

import pytest
import torch

from outgrow.devices import Slab
from outgrow.errors import DeviceError, InputError

MEBIBYTE = 1 << 20

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def anonymous_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


@pytest.mark.parametrize("nbytes", [1, 4095, mmap.PAGESIZE, mmap.PAGESIZE + 1, 1_000_003])
def test_slab_is_page_aligned_and_a_whole_number_of_pages(nbytes):
    with Slab(nbytes) as slab:
        assert slab.nbytes == -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        assert slab.tensor.shape == (slab.nbytes,)
        assert slab.tensor.dtype is torch.uint8
        assert len(slab.view) == slab.nbytes
        assert slab.tensor.data_ptr() % mmap.PAGESIZE == 0


def test_tensor_and_view_share_memory():
    with Slab(4096) as slab:
        slab.view[3] = 7
        slab.tensor[4] = 9
        assert slab.tensor[3] == 7
        assert slab.view[4] == 9


def test_direct_reads_land_in_it(tmp_path):
    file = tmp_path / "data"
    file.write_bytes(bytes(range(256)) * 32)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        with Slab(8192) as slab:
            assert os.preadv(descriptor, [slab.view], 0) == 8192
            assert slab.tensor[300].item() == 300 % 256
    finally:
        os.close(descriptor)


@on_linux
def test_close_gives_the_memory_back_at_once():
    slab = Slab(64 * MEBIBYTE)
    slab.tensor.fill_(1)
    before = anonymous_bytes()
    slab.close()
    assert before - anonymous_bytes() > 60 * MEBIBYTE


@on_linux
def test_close_gives_the_memory_back_while_a_tensor_points_into_it_and_that_reads_zeros():
    slab = Slab(64 * MEBIBYTE)
    slab.tensor.fill_(1)
    kept = slab.tensor[:10].view(torch.bfloat16)
    before = anonymous_bytes()
    slab.close()
    gc.collect()
    assert before - anonymous_bytes() > 60 * MEBIBYTE
    assert kept.tolist() == [0.0] * 5


@on_linux
def test_untouched_pages_cost_nothing():
    before = anonymous_bytes()
    with Slab(512 * MEBIBYTE):
        assert anonymous_bytes() - before < 16 * MEBIBYTE


@on_linux
def test_fifty_rounds_leave_no_memory_behind():
    def one_round():
        with Slab(16 * MEBIBYTE) as slab:
            slab.tensor.fill_(1)

    one_round()
    before = anonymous_bytes()
    for _ in range(50):
        one_round()
    dropped = Slab(16 * MEBIBYTE)  # nobody closes this one
    dropped.tensor.fill_(1)
    del dropped
    gc.collect()
    assert anonymous_bytes() - before < 8 * MEBIBYTE


def test_a_closed_slab_says_so_and_can_be_closed_again():
    slab = Slab(4096)
    slab.close()
    slab.close()
    assert slab.is_closed
    assert "closed" in repr(slab)
    for get in (lambda: slab.tensor, lambda: slab.view):
        with pytest.raises(DeviceError, match="closed"):
            get()


@pytest.mark.parametrize("nbytes", [0, -1])
def test_a_slab_without_bytes_is_refused(nbytes):
    with pytest.raises(InputError, match="more than zero"):
        Slab(nbytes)


def test_more_than_the_address_space_is_a_clear_error():
    with pytest.raises(DeviceError, match="no 1153 PB of memory") as caught:
        Slab(1 << 60)
    assert "budget" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_pinning_without_a_gpu_is_a_clear_error():
    with pytest.raises(DeviceError, match="needs a CUDA device"):
        Slab(4096, pinned=True)


@pytest.mark.gpu
def test_pinned_memory_is_pinned_until_it_is_closed():
    slab = Slab(MEBIBYTE, pinned=True)
    assert slab.is_pinned
    assert slab.tensor.is_pinned()
    there = slab.tensor.fill_(3).to("cuda", non_blocking=True)
    torch.cuda.synchronize()
    assert int(there.max()) == 3
    slab.close()
    assert not slab.is_pinned
    with Slab(MEBIBYTE, pinned=True):  # the address may be the same: it must not count as registered still
        pass


class FakeRuntime:
    """Counts what is registered with CUDA."""

    def __init__(self, code=0):
        self.code = code
        self.registered = {}
        self.unregistered = []

    def cudaHostRegister(self, address, nbytes, flags):
        if self.code == 0:
            self.registered[address] = nbytes
        return self.code

    def cudaHostUnregister(self, address):
        self.unregistered.append(address)
        return 0


@pytest.fixture
def fake_cuda(monkeypatch):
    runtime = FakeRuntime()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    return runtime


def test_pinning_registers_exactly_the_slab_and_close_unregisters_it_once(fake_cuda):
    slab = Slab(10_000, pinned=True)
    address = slab.tensor.data_ptr()
    assert fake_cuda.registered == {address: slab.nbytes}
    assert "pinned" in repr(slab)
    slab.close()
    slab.close()
    assert fake_cuda.unregistered == [address]


def test_a_dropped_pinned_slab_is_unregistered(fake_cuda):
    slab = Slab(10_000, pinned=True)
    address = slab.tensor.data_ptr()
    del slab
    gc.collect()
    assert fake_cuda.unregistered == [address]


def test_memory_that_cannot_be_pinned_is_an_error_and_nothing_stays(fake_cuda):
    fake_cuda.code = 2
    with pytest.raises(DeviceError, match=r"could not pin 12\.3 kB of memory") as caught:
        Slab(10_000, pinned=True)
    assert "ulimit -l" in caught.value.hint
    assert fake_cuda.unregistered == []
