"""What every backend promises, and the choice among them."""

import subprocess
import sys

import pytest
import torch

from outgrow.devices.gpudirect import GpuDirectState
from outgrow.errors import DeviceError, StoreError
from outgrow.stream.backends import BACKENDS, make_backend
from outgrow.stream.backends import choice as choice_module
from outgrow.stream.backends.choice import choose_for_gpu, time_backend
from outgrow.stream.backends.device_streams import cuda_device
from outgrow.stream.config import BackendType
from outgrow.stream.live_weight import storage_users
from outgrow.stream.loader import Loader
from outgrow.stream.plan import make_plan
from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import Piece, Use, Weight
from tests.stream.backend_cases import CPU, MAKERS, OPEN, STAGED_BYTES, Model, new_reader
from tests.stream.fake_device import COMPUTE, FakeDevice


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(tmp_path_factory.mktemp("backends"))


@pytest.fixture(autouse=True)
def _close_readers():
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


# Promises of every backend.


def test_every_backend_is_tested():
    assert set(MAKERS) == set(BACKENDS)


def test_reservations_share_the_window_and_have_storages_of_their_own(make):
    backend = make(FakeDevice(COMPUTE))
    backend.open_window(1 << 16)
    users = storage_users()
    one, other = backend.reservation(4096, 640), backend.reservation(8192, 64)
    assert one.shape == (640,)
    assert one.dtype == torch.uint8
    before = users(one)
    one.fill_(7)
    assert int(backend.reservation(4096, 1)) == 7
    assert int(other[0]) != 7
    assert one.untyped_storage().data_ptr() == one.data_ptr() != other.untyped_storage().data_ptr()
    assert users(one) == before, "reservations of other bytes count as users"
    kept = one[4:10].view(torch.int16)
    assert users(one) == before + 1
    del kept
    assert users(one) == before
    backend.close()
    backend.close()


def test_the_window_begins_at_a_page(make):
    backend = make()
    for nbytes in (4096, 123456, 1 << 20):
        backend.open_window(nbytes)
        assert backend.reservation(0, nbytes).data_ptr() % 4096 == 0
        backend.close_window()


def test_memory_made_in_inference_mode_can_be_written_by_threads_that_are_not(make):
    backend = make()
    with torch.inference_mode():
        backend.open_window(1 << 16)
        tensors = [backend.reservation(0, 64), backend.allocate(64)]
    for tensor in tensors:
        assert not tensor.is_inference()
        tensor.copy_(torch.ones(64, dtype=torch.uint8))
    backend.close()


@pytest.mark.parametrize("part", [0.3, 0.6])
def test_every_piece_arrives_as_it_is_on_disk(make, model, part):
    backend = make()
    plan = model.plan(backend, part)
    assert plan.order
    loader = Loader(plan, backend, threads=2, lookahead=None)
    try:
        loader.start()
        for index in [*plan.order] * 3:
            ticket = loader.acquire(index)
            if backend.name != "mmap":
                for event in ticket.payload.get("copies", ()):
                    event.synchronize()
            actual = loader.memory_of(ticket)
            assert actual.dtype == plan.pieces[index].weight.dtype
            assert torch.equal(actual, model.rows(plan.pieces[index])), plan.pieces[index].weight.name
            del actual
            loader.release(ticket)
        loader.check()
    finally:
        loader.close()
        backend.close()


def test_what_is_fetched_without_a_ticket_is_there_on_return(make, model):
    device = FakeDevice()
    backend = make(device)
    loader = Loader(model.plan(backend), backend, threads=2, lookahead=None)
    try:
        wholes = [
            Piece(index=-1, weight=weight, first_row=0, last_row=weight.shape[0]) for weight in model.weights
        ]
        flats = [backend.allocate(weight.nbytes).view(weight.dtype) for weight in model.weights]
        loader.fetch_now(list(zip(wholes, flats, strict=True)), room_bytes=1 << 20)
        # Of what is queued still, nothing may be left that writes there.
        for _ in range(2):
            for flat, expected in zip(flats, model.expected, strict=True):
                assert torch.equal(flat.view(expected.shape), expected)
            device.settle()
    finally:
        loader.close()
        backend.close()


def test_a_file_that_is_cut_short_is_named_where_the_piece_is_needed(make, tmp_path):
    path = tmp_path / "short.bin"
    path.write_bytes(bytes(100_000))
    segment = Segment(path=path, offset=0, nbytes=400_000, begin=0)
    source = WeightSource(name="w", shape=(100_000,), dtype=torch.float32, segments=(segment,))
    weight = Weight(index=0, source=source, dtype=torch.float32, use=Use.WHOLE)
    other = Weight(index=1, source=source, dtype=torch.float32, use=Use.WHOLE)
    backend = make()
    plan = make_plan(
        [weight, other], budget_bytes=700_000, order=[0, 1], io_threads=2, in_place=backend.in_place,
        staged_bytes=None if backend.staged_chunk_bytes is None else STAGED_BYTES,
    )  # fmt: skip
    loader = Loader(plan, backend, threads=2, lookahead=None)
    try:
        loader.start()
        with pytest.raises(StoreError, match="short"):
            loader.acquire(plan.order[0])
    finally:
        loader.close()
        backend.close()


def test_a_thread_that_waits_for_work_does_not_count_as_a_user(make, model):
    """Else a view that somebody keeps hides behind the count of a job that ended long ago."""
    backend = make()
    plan = model.plan(backend)
    users = storage_users()
    loader = Loader(plan, backend, threads=1, lookahead=1)
    try:
        loader.start()
        counts = set()
        for index in plan.order:
            ticket = loader.acquire(index)
            before = users(loader.memory_of(ticket))
            # The one thread turns to something else, and forgets what it did before.
            flat = backend.allocate(model.weights[0].nbytes).view(model.weights[0].dtype)
            whole = Piece(index=-1, weight=model.weights[0], first_row=0, last_row=model.weights[0].shape[0])
            loader.fetch_now([(whole, flat)], room_bytes=1 << 20)
            counts.add(users(loader.memory_of(ticket)) - before)
            loader.release(ticket)
        assert counts == {0}
    finally:
        loader.close()
        backend.close()


# The choice.


@pytest.mark.parametrize("kind", [BackendType.AUTO, BackendType.MMAP, "auto", "mmap"])
def test_the_cpu_gets_the_host_backend(kind):
    backend = make_backend(kind, CPU, new_reader())
    assert backend.name == "mmap"
    assert backend.device == CPU


@pytest.mark.parametrize("kind", ["cuda", "gpudirect", BackendType.CUDA])
@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_torch_without_cuda_is_said_to_be_so(monkeypatch, kind, device):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    with pytest.raises(DeviceError, match="was built without CUDA") as caught:
        make_backend(kind, torch.device(device), new_reader())
    assert "CUDA build" in caught.value.hint


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)


def test_no_gpu_is_said_to_be_so(monkeypatch, two_gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="torch finds none") as caught:
        make_backend("cuda", torch.device("cuda"), new_reader())
    assert "nvidia-smi" in caught.value.hint


@pytest.mark.parametrize("kind", ["cuda", "gpudirect"])
def test_a_gpu_backend_on_the_cpu_is_refused(two_gpus, kind):
    with pytest.raises(
        DeviceError, match=f"backend '{kind}' is for models that compute on a CUDA device, not on cpu"
    ):
        make_backend(kind, CPU, new_reader())


def test_the_host_backend_on_a_gpu_is_refused():
    with pytest.raises(DeviceError, match="main memory"):
        make_backend("mmap", torch.device("cuda"), new_reader())


def test_auto_on_another_kind_of_device_is_refused():
    with pytest.raises(DeviceError, match="cannot be streamed to device xpu"):
        make_backend("auto", torch.device("xpu"), new_reader())


def test_devices_get_their_index_and_must_exist(two_gpus):
    assert cuda_device(torch.device("cuda"), "cuda") == torch.device("cuda:1")
    assert cuda_device(torch.device("cuda:0"), "cuda") == torch.device("cuda:0")
    with pytest.raises(DeviceError, match="there is no device cuda:2") as caught:
        cuda_device(torch.device("cuda:2"), "cuda")
    assert caught.value.hint == "torch sees cuda:0, cuda:1"


USABLE = GpuDirectState(is_usable=True, reason="kvikio finds the driver")


class Stub:
    def __init__(self, name) -> None:
        self.name, self.is_closed = name, False

    def close(self):
        self.is_closed = True


@pytest.mark.parametrize(
    ("pinned", "direct", "expected"),
    [
        ([5.0, 5.0, 5.0], [6.0, 6.0, 6.0], "gpudirect"),
        ([5.0, 5.0, 5.0], [5.1, 5.1, 5.1], "cuda"),
        ([5.0, 5.0, 5.0], [4.0, 4.0, 4.0], "cuda"),
        ([2.0, 8.0, 8.0], [9.0, 7.0, 7.0], "cuda"),
    ],
    ids=["faster", "hardly faster", "slower", "faster once"],
)
def test_gpudirect_is_taken_only_where_it_is_faster(tmp_path, pinned, direct, expected):
    rates = {"cuda": [r * 1e9 for r in pinned], "gpudirect": [r * 1e9 for r in direct]}
    made, turns = [], []

    def make(name):
        made.append(Stub(name))
        return made[-1]

    def clock(backend, path, turn):
        turns.append(backend.name)
        return rates[backend.name][turn]

    found = choose_for_gpu(tmp_path, make, probe=lambda: USABLE, clock=clock)
    assert found.name == expected
    assert "GB/s by GPUDirect" in found.reason
    assert turns == ["cuda", "gpudirect"] * 3
    assert all(backend.is_closed for backend in made)


def test_what_cannot_be_measured_goes_through_pinned_memory(tmp_path):
    def fail(*args):
        raise DeviceError("cuFile refuses this file system")

    def never(*args):
        raise AssertionError("nothing is to be made")

    assert choose_for_gpu(None, never, probe=never).name == "cuda"
    state = GpuDirectState(is_usable=False, reason="no nvidia-fs driver")
    found = choose_for_gpu(tmp_path, never, probe=lambda: state)
    assert (found.name, found.reason) == ("cuda", "no nvidia-fs driver")
    found = choose_for_gpu(tmp_path, Stub, probe=lambda: USABLE, clock=fail)
    assert found.name == "cuda"
    assert "cuFile refuses" in found.reason


def test_auto_says_in_the_log_what_it_took(two_gpus, monkeypatch, caplog):
    made = []
    monkeypatch.setitem(BACKENDS, "cuda", lambda device, reader: made.append(device) or Stub("cuda"))
    state = GpuDirectState(is_usable=False, reason="no nvidia-fs driver")
    monkeypatch.setattr(choose_for_gpu, "__kwdefaults__", {"probe": lambda: state, "clock": None})
    with caplog.at_level("INFO", logger="outgrow.stream.backends"):
        assert make_backend("auto", torch.device("cuda:0"), new_reader(), "file").name == "cuda"
    assert made == [torch.device("cuda:0")]
    assert "no nvidia-fs driver" in caplog.text


@pytest.mark.parametrize("name", MAKERS)
def test_the_probe_reads_through_the_backend_itself(monkeypatch, tmp_path, name):
    monkeypatch.setattr(choice_module, "PROBE_BYTES", 2 << 20)
    monkeypatch.setattr(choice_module, "LEAST_BYTES", 1 << 20)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(5 << 20))
    backend = MAKERS[name]()
    for turn in range(4):
        assert time_backend(backend, path, turn, num_threads=2) > 0
    small = tmp_path / "small"
    small.write_bytes(bytes(1000))
    with pytest.raises(Exception, match="too few"):
        time_backend(backend, small, 0)
    backend.close()


def test_importing_the_backends_needs_neither_kvikio_nor_a_gpu():
    code = "import outgrow.stream.backends, sys; sys.exit('kvikio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
