"""Streaming on a real CUDA device."""

import importlib.util
import threading

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from outgrow.devices.gpudirect import gpudirect_state
from outgrow.errors import DeviceError
from outgrow.store.checkpoint import open_checkpoint
from outgrow.store.readers import BufferedReader
from outgrow.stream.attachment import attach
from outgrow.stream.backends import make_backend
from outgrow.stream.backends.choice import time_backend
from outgrow.stream.backends.cuda import CudaBackend
from outgrow.stream.backends.device_streams import CudaStreams
from outgrow.stream.config import Config
from outgrow.stream.live_weight import storage_users
from outgrow.stream.loader import Loader
from outgrow.stream.plan import make_plan
from outgrow.stream.source import source_of
from outgrow.stream.weights import Use, Weight

pytestmark = pytest.mark.gpu

DEVICES = [torch.device("cuda", index) for index in range(torch.cuda.device_count())] or [
    torch.device("cuda")
]
KINDS = ["cuda", "gpudirect"]


@pytest.fixture(params=DEVICES, ids=str)
def device(request):
    return request.param


@pytest.fixture(params=KINDS)
def backend(request, device):
    if request.param == "gpudirect" and not gpudirect_state().is_usable:
        pytest.skip(gpudirect_state().reason)
    with BufferedReader() as reader:
        backend = make_backend(request.param, device, reader)
        yield backend
        backend.close()


@pytest.fixture
def checkpoint(tmp_path):
    """Sixteen matrices of 2 MiB and a wide one, random bfloat16."""
    generator = torch.Generator().manual_seed(11)
    tensors = {f"w{i}": torch.randn(1024, 1024, generator=generator).bfloat16() for i in range(16)}
    tensors["wide"] = torch.randn(333, 5000, generator=generator).bfloat16()
    save_file(tensors, tmp_path / "model.safetensors")
    return tensors, open_checkpoint(tmp_path / "model.safetensors")


def weights_of(checkpoint, dtype=torch.bfloat16):
    return [
        Weight(index=index, source=source_of(meta), dtype=dtype, use=Use.WHOLE)
        for index, meta in enumerate(checkpoint.tensors.values())
    ]


def loader_for(backend, weights, part=0.4):
    plan = make_plan(
        weights,
        budget_bytes=int(sum(weight.nbytes for weight in weights) * part),
        order=range(len(weights)),
        in_place=backend.in_place,
        staged_bytes=backend.staged_chunk_bytes,
    )
    return plan, Loader(plan, backend, threads=4, lookahead=None)


def test_streams_copy_asynchronously_and_events_order_them(device):
    streams = CudaStreams(device)
    with streams.staging(64 << 20) as slab:
        assert slab.tensor.is_pinned()
        slab.tensor.fill_(7)
        target = streams.empty(64 << 20)
        target.zero_()
        event = streams.copy(slab.tensor, target, [streams.mark()])
        streams.hold_compute(event)
        assert int(target.min()) == 7
        event.synchronize()
    streams.settle()


def test_a_copy_waits_for_work_that_is_queued(device):
    streams = CudaStreams(device)
    with torch.cuda.device(device), streams.staging(1 << 20) as slab:
        slab.tensor.fill_(3)
        target = streams.empty(1 << 20)
        target.fill_(1)
        torch.cuda._sleep(200_000_000)
        seen = target.clone()
        streams.copy(slab.tensor, target, [streams.mark()]).synchronize()
        assert int(seen.max()) == 1
        assert int(target.min()) == 3


def test_reservations_count_their_own_users(backend, device):
    backend.open_window(1 << 20)
    users = storage_users()
    one, other = backend.reservation(4096, 512), backend.reservation(8192, 512)
    assert one.device == other.device == device
    before = users(one)
    kept = one[3:5]
    assert users(one) == before + 1
    assert users(other) == before
    del kept
    assert users(one) == before
    assert backend.reservation(0, 1).data_ptr() % 4096 == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["as stored", "cast"])
def test_slow_computations_see_their_own_bytes(backend, checkpoint, dtype):
    """The host runs far ahead of a device that sleeps before each use."""
    tensors, opened = checkpoint
    weights = weights_of(opened, dtype)
    plan, loader = loader_for(backend, weights)
    seen = []
    try:
        loader.start()
        with torch.cuda.device(backend.device):
            for index in [*plan.order] * 3:
                ticket = loader.acquire(index)
                torch.cuda._sleep(5_000_000)
                seen.append((index, loader.memory_of(ticket).clone()))
                loader.release(ticket)
        loader.check()
        torch.cuda.synchronize(backend.device)
        for index, actual in seen:
            weight = plan.pieces[index].weight
            assert torch.equal(actual.cpu(), tensors[weight.name].to(dtype)), weight.name
    finally:
        loader.close()


def test_computing_on_another_stream_is_ordered_too(backend, checkpoint):
    tensors, opened = checkpoint
    plan, loader = loader_for(backend, weights_of(opened))
    seen = []
    try:
        loader.start()
        side = torch.cuda.Stream(backend.device)
        with torch.cuda.device(backend.device), torch.cuda.stream(side):
            for index in [*plan.order] * 2:
                ticket = loader.acquire(index)
                torch.cuda._sleep(5_000_000)
                seen.append((index, loader.memory_of(ticket).clone()))
                loader.release(ticket)
            side.synchronize()
        for index, actual in seen:
            assert torch.equal(actual.cpu(), tensors[plan.pieces[index].weight.name])
    finally:
        loader.close()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(3000, 512)
        self.layers = nn.ModuleList(nn.Linear(512, 512, bias=i % 2 == 0) for i in range(24))
        self.head = nn.Linear(512, 3000, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return self.head(x)


@pytest.mark.parametrize("part", [0.3, 0.7, 1.2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_gives_the_bits_that_it_gives_in_memory(tmp_path, device, kind, part):
    if kind == "gpudirect" and not gpudirect_state().is_usable:
        pytest.skip(gpudirect_state().reason)
    torch.manual_seed(0)
    model = Net().bfloat16().requires_grad_(False)
    save_file({n: p.detach().clone() for n, p in model.named_parameters()}, tmp_path / "m.safetensors")
    opened = open_checkpoint(tmp_path / "m.safetensors")
    with torch.device("meta"):
        streamed = Net().bfloat16().requires_grad_(False)
    total = sum(parameter.nbytes for parameter in streamed.parameters())
    model.to(device)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    stream = attach(
        streamed,
        {name: source_of(meta) for name, meta in opened.tensors.items()},
        config=Config(backend=kind, debug_mode=True),
        budget_bytes=int(total * part),
        device=device,
        identities=opened.identities,
    ).stream
    # The allocator rounds every resident tensor up to 512 bytes.
    slack = 512 * (len(stream.weights) + 2) + 4096
    assert torch.cuda.memory_allocated(device) - before <= int(total * part) + slack
    assert {parameter.device for parameter in streamed.parameters()} == {device}
    for length in (17, 1, 17, 1, 1):
        ids = torch.randint(0, 3000, (2, length), device=device)
        with torch.inference_mode():
            # Close, not equal: for a tile cuBLAS may choose another kernel than for the whole product.
            torch.testing.assert_close(streamed(ids), model(ids))
    assert stream.counts().bytes_read > 0
    stream.close()


def test_memory_that_is_not_there_is_an_error_with_a_hint(device):
    streams = CudaStreams(device)
    with pytest.raises(DeviceError, match="left for weights") as caught:
        streams.empty(1 << 50)
    assert "smaller budget" in caught.value.hint


def test_an_index_that_no_device_has_is_named():
    with BufferedReader() as reader, pytest.raises(DeviceError, match="there is no device"):
        make_backend("cuda", torch.device("cuda", torch.cuda.device_count()), reader)


@pytest.mark.skipif(importlib.util.find_spec("kvikio") is not None, reason="kvikio is installed")
def test_gpudirect_without_kvikio_is_refused(device):
    with BufferedReader() as reader, pytest.raises(DeviceError, match="kvikio"):
        make_backend("gpudirect", device, reader)


def test_nothing_is_left_after_many_rounds(device, checkpoint):
    _, opened = checkpoint
    weights = weights_of(opened)
    torch.cuda.synchronize(device)
    memory, threads = torch.cuda.memory_allocated(device), threading.active_count()
    for _ in range(20):
        with BufferedReader() as reader:
            backend = CudaBackend(device, reader)
            plan, loader = loader_for(backend, weights)
            loader.start()
            loader.release(loader.acquire(plan.order[0]))
            loader.close()
            backend.close()
            del backend, loader
    assert torch.cuda.memory_allocated(device) == memory
    assert threading.active_count() == threads


def test_the_probe_measures_the_pinned_way(device, tmp_path):
    path = tmp_path / "probe"
    path.write_bytes(bytes(64 << 20))
    with BufferedReader() as reader:
        backend = CudaBackend(device, reader)
        assert time_backend(backend, path, 0) > 1e6
        backend.close()
