"""The loader brings the right bytes whatever the disk does."""

import contextlib
import os
import random

import pytest
import torch

from outgrow.errors import StoreError
from outgrow.store.codec import make_codec
from outgrow.store.readers import make_reader
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.loader import Loader, WindowStuck
from outgrow.stream.plan import make_plan
from outgrow.testing.faults import FaultyReader, faulty_reads
from tests.stream.run_loader import Reading, expected, mixed_weights, opened, plan_of, run_pass
from tests.stream.weight_makers import WeightFile, piece_of

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return mixed_weights(tmp_path_factory.mktemp("loader"))


@pytest.mark.parametrize("kind", ["auto", "buffered", "mmap"])
@pytest.mark.parametrize("lookahead", [None, 0, 1])
@pytest.mark.parametrize("threads", [1, 4])
def test_every_piece_has_its_bytes_in_every_pass(model, kind, lookahead, threads):
    plan = plan_of(model, io_threads=threads)
    assert {plan.footprints[index].is_in_place for index in plan.order} == {True, False}
    assert len(plan.order) > 6
    with opened(model, plan, kind=kind, threads=threads, lookahead=lookahead) as loader:
        for _ in range(3):
            run_pass(model, plan, loader)
        assert loader.misses == (0 if lookahead != 0 else 3 * len(plan.order))
        assert loader.wasted == 0
        counts = loader.settled_counts()
    assert counts.bytes_read >= 3 * plan.pass_bytes
    assert counts.fetches >= 3 * len(plan.order)


def test_all_pieces_through_staging_memory(model):
    plan = plan_of(model, in_place=False)
    assert not any(plan.footprints[index].is_in_place for index in plan.order)
    with opened(model, plan) as loader:
        run_pass(model, plan, loader)


def test_random_order_brings_right_bytes(model):
    plan = plan_of(model)
    chance = random.Random(0)
    with opened(model, plan) as loader:
        for _ in range(150):
            index = chance.choice(plan.order)
            ticket = loader.acquire(index)
            assert torch.equal(loader.memory_of(ticket), expected(model, plan, index))
            loader.release(ticket)
        loader.set_order(plan.order[::-1])
        for index in plan.order[::-1]:
            loader.release(loader.acquire(index))
        loader.check()
        assert loader.order == plan.order[::-1]


def test_pieces_in_use_keep_their_bytes_while_others_come_and_go(model):
    plan = plan_of(model, 0.6)
    chance = random.Random(1)
    with opened(model, plan) as loader:
        held = {}
        for _ in range(200):
            index = chance.choice(plan.order)
            try:
                ticket = loader.acquire(index)
            except WindowStuck:
                assert held
                loader.release(held.pop(next(iter(held))))
                continue
            held[ticket] = ticket
            for each in held:
                assert torch.equal(loader.memory_of(each), expected(model, plan, each.piece))
            while len(held) > chance.randrange(4):
                loader.release(held.pop(chance.choice(list(held))))


def test_memory_of_a_piece_lies_in_the_window(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        ticket = loader.acquire(plan.order[0])
        memory = loader.memory_of(ticket)
        assert memory is loader.memory_of(ticket)
        print_of = plan.footprints[plan.order[0]]
        assert memory.untyped_storage().nbytes() == print_of.nbytes
        assert memory.data_ptr() == memory.untyped_storage().data_ptr() + print_of.lead
        loader.release(ticket)


def test_fetch_now_reads_into_memory_of_its_own(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        ticket = loader.acquire(plan.order[0])
        wanted = [
            (piece_of(weight), torch.empty(weight.nbytes, dtype=torch.uint8).view(weight.dtype))
            for weight in model.weights
        ]
        loader.fetch_now(wanted, room_bytes=100 * KIB)
        for (piece, flat), value in zip(wanted, model.values, strict=True):
            assert torch.equal(flat.view(piece.shape), value)
        loader.release(ticket)
        run_pass(model, plan, loader)


@pytest.mark.parametrize("room", [0, 10 * MIB])
def test_fetch_now_leaves_no_staging_memory_behind(model, room):
    plan = plan_of(model)
    carriers = []

    class Counting(HostBackend):
        def make_carrier(self, staging_bytes):
            carrier = super().make_carrier(staging_bytes)
            carriers.append(carrier)
            return carrier

    def staging():
        return sum(each._staging.nbytes for each in carriers if each._staging is not None)

    with make_reader("auto", model.path) as reader:
        loader = Loader(plan, Counting(reader), threads=4, lookahead=None)
        weight = model.weights[2]
        flat = torch.empty(weight.nbytes, dtype=torch.uint8).view(weight.dtype)
        loader.fetch_now([(piece_of(weight), flat)], room_bytes=room)
        assert staging() == 0
        loader.start()
        loader.release(loader.acquire(plan.order[0]))
        loader.fetch_now([(piece_of(weight), flat)], room_bytes=room)
        assert staging() <= plan.staging_bytes + 4 * 4096
        loader.close()
        assert staging() == 0


def test_encoded_runs_are_decoded_and_cut_to_the_piece(tmp_path):
    """Runs of odd lengths, compressed one by one, that hang over the tiles' ends."""
    pytest.importorskip("blosc2")
    torch.manual_seed(1)
    value = torch.randn(900, 256).bfloat16()
    raw = value.view(torch.uint8).numpy().tobytes()
    begins = [0, 50_000, 50_002, 111_112, 200_000, 300_004, 400_000]
    ends = [*begins[1:], len(raw)]
    codec = make_codec("blosc2")
    runs = [codec.encode(raw[begin:end], 2, 1) for begin, end in zip(begins, ends, strict=True)]
    file = WeightFile(tmp_path / "weights.bin")
    file.add_encoded(value, runs, begins, "blosc2")
    file.add(torch.randn(300, 512))
    file.close()
    plan = make_plan(file.weights, budget_bytes=800_000, order=[0, 1], io_threads=1)
    assert len(plan.pieces_of[0]) > 2
    with opened(file, plan, threads=1) as loader:
        run_pass(file, plan, loader)
        run_pass(file, plan, loader)


# -- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["buffered", "direct"])
@pytest.mark.parametrize("seed", range(4))
def test_interrupted_short_and_empty_reads_change_nothing(model, kind, seed):
    plan = plan_of(model)
    with opened(model, plan, kind=kind) as loader, faulty_reads(seed=seed) as faults:
        run_pass(model, plan, loader)
        run_pass(model, plan, loader)
    assert {fault for fault, _ in faults.calls} >= {"short", "half", "empty", "eintr"}


@pytest.mark.parametrize("lookahead", [None, 0])
@pytest.mark.parametrize("seed", range(5))
def test_error_is_raised_at_the_use_and_the_next_pass_is_right(model, seed, lookahead):
    plan = plan_of(model)
    chance = random.Random(seed)
    failing = chance.sample(range(60), 12)
    errors = []
    with opened(
        model, plan, lookahead=lookahead, wrap=lambda reader: FaultyReader(reader, failing)
    ) as loader:
        for _ in range(6):
            for index in plan.order:
                try:
                    ticket = loader.acquire(index)
                except StoreError as error:
                    errors.append(str(error))
                    continue
                assert torch.equal(loader.memory_of(ticket), expected(model, plan, index))
                loader.release(ticket)
        loader.check()
        run_pass(model, plan, loader)
    # What failed ahead of its use is read again, so that not every fault is seen.
    assert len(errors) <= 12
    assert errors or lookahead is None
    assert all("on purpose" in error for error in errors)


def test_disk_that_is_gone_and_comes_back(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        run_pass(model, plan, loader)
        with faulty_reads(["eio"] * 10_000):
            errors = []
            for index in plan.order * 2:
                try:
                    loader.release(loader.acquire(index))
                except StoreError as error:
                    errors.append(str(error))
            assert len(errors) >= len(plan.order)
            assert all("Input/output error" in error for error in errors)
            flat = torch.empty(model.weights[0].nbytes, dtype=torch.uint8).view(torch.float32)
            with pytest.raises(StoreError, match="Input/output error"):
                loader.fetch_now([(piece_of(model.weights[0]), flat)], room_bytes=MIB)
        loader.check()
        run_pass(model, plan, loader)


def test_file_that_is_cut_short_while_running(model, tmp_path):
    copy = WeightFile(tmp_path / "weights.bin")
    copy.add(torch.randn(600, 600), align=4096)
    copy.add(torch.randn(600, 600), align=8)
    copy.close()
    content = copy.path.read_bytes()
    plan = make_plan(copy.weights, budget_bytes=1_500_000, order=[0, 1])
    with opened(copy, plan, kind="buffered", lookahead=0) as loader:
        run_pass(copy, plan, loader)
        os.truncate(copy.path, len(content) - 700_000)
        with pytest.raises(StoreError, match="ended at byte"):
            run_pass(copy, plan, loader)
        copy.path.write_bytes(content)
        run_pass(copy, plan, loader)


def test_programming_errors_in_a_reader_reach_who_waits(model):
    plan = plan_of(model)

    def broken():
        raise RuntimeError("a reader with a bug")

    with (
        opened(model, plan, wrap=lambda reader: Reading(reader, broken)) as loader,
        pytest.raises(StoreError, match="RuntimeError: a reader with a bug") as found,
    ):
        loader.acquire(plan.order[0])
    assert isinstance(found.value.__cause__, RuntimeError)


def test_piece_that_finds_no_place_says_so(model):
    plan = plan_of(model)
    with opened(model, plan) as loader, contextlib.ExitStack() as held:
        stuck = r"weight 'weight.\d' needs .* bytes of a window of"
        with pytest.raises(WindowStuck, match=stuck) as found:  # noqa: PT012  nobody knows which one it will be
            for index in plan.order * 9:
                held.callback(loader.release, loader.acquire(index))
        assert "larger budget" in (found.value.hint or "")
        held.close()
        run_pass(model, plan, loader)
