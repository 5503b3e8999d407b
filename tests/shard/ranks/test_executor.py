import copy
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outgrow.errors import InputError, RemoteError
from outgrow.placement import Replicate, Shard
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink
from outgrow.shard.instructions import INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.messages import Call, Define, Fetch, Message, Place, Put
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.held import Failure
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.replay.program import Program


class Link(SimulatedLink):
    """Remembers what was sent, and takes an executor of the test's own."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor.fabric.world_size)
        self.executor = executor
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)
        super().send(message)


def session(world_size: int = 2, **options: Any) -> tuple[Session, Executor, Link]:
    link = Link(Executor(SimulatedFabric(world_size), **options))
    return Session(link), link.executor, link


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.down = nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.norm(self.up(x))))


def twins() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = Net().double()
    return plain, copy.deepcopy(plain)


def losses_of(
    model: nn.Module, steps: int, move: Any = lambda x: x, *, is_split: bool = False
) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        x, y = (
            torch.randn(4, 8, generator=generator).double(),
            torch.randn(4, 4, generator=generator).double(),
        )
        optimizer.zero_grad()
        loss = (model(move(x)) - move(y)).square().mean()
        if is_split:
            losses.append(loss.item())
        loss.backward()
        optimizer.step()
        if not is_split:
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "fetch before backward"])
def test_training_is_replayed_and_equals_torch(world_size, is_split):
    plain, ours = twins()
    held, executor, _ = session(world_size)
    with use_session(held):
        ours.to("workers")
        actual = losses_of(ours, 30, lambda x: x.to("workers"), is_split=is_split)
    assert actual == pytest.approx(losses_of(plain, 30, is_split=is_split), rel=1e-10)
    assert executor.statistics()["replayed_calls"] > 15
    (cycle,) = held.ask("explain")["cycles"]
    assert cycle["is_final"]
    assert all(one["banned"] is None for one in cycle["candidates"])


def test_a_program_with_wrong_results_is_banned_and_told(monkeypatch):
    plain, ours = twins()
    run = Program.run
    monkeypatch.setattr(
        Program,
        "run",
        lambda self, lanes, floats: [
            None if one is None else tuple(part + 1e-3 for part in one) for one in run(self, lanes, floats)
        ],
    )
    held, executor, _ = session()
    with use_session(held):
        ours.to("workers")
        actual = losses_of(ours, 12, lambda x: x.to("workers"))
    assert actual == pytest.approx(losses_of(plain, 12), rel=1e-10)
    (cycle,) = held.ask("explain")["cycles"]
    assert cycle["used"] is None
    assert all("largest difference" in one["banned"] for one in cycle["candidates"])
    assert executor.statistics()["replayed_calls"] == 0


def test_logged_decisions_and_messages_give_the_same_bits():
    decisions: list[dict[str, Any]] = []
    held, first, link = session(on_decision=decisions.append)
    with use_session(held):
        _, ours = twins()
        ours.to("workers")
        losses_of(ours, 25, lambda x: x.to("workers"))
        last = max(message.number for message in link.sent if isinstance(message, Call))
        second = Executor(SimulatedFabric(2), decisions=json.loads(json.dumps(decisions)), decided_until=last)
        for message in link.sent:
            second.handle(message)
        assert list(first.values) == list(second.values)
        for value in first.values:
            one, other = (each.handle(Fetch(request=0, value=value)) for each in (first, second))
            assert one is not None
            assert other is not None
            assert bytes(one.data) == bytes(other.data)


@pytest.mark.parametrize("is_placed", [False, True])
def test_a_snapshot_taken_in_the_middle_goes_on_with_the_same_bits(is_placed):
    decisions: list[dict[str, Any]] = []
    held, first, link = session(on_decision=decisions.append)
    saved: dict[str, Any] = {}
    with use_session(held):
        _, ours = twins()
        ours.to("workers")
        optimizer = torch.optim.SGD(ours.parameters(), lr=0.05)
        for number in range(30):
            if number == 14:
                held.flush()
                snapshot = first.snapshot()
                saved["state"] = json.loads(json.dumps(snapshot["state"]))
                saved["pieces"] = [(value, lane, piece.clone()) for value, lane, piece in snapshot["pieces"]]
                saved["sent"], saved["decided"] = len(link.sent), len(decisions)
            optimizer.zero_grad()
            x = torch.full((4, 8), number / 30).double().to("workers")
            if is_placed:
                link.send(Place(value=x._read_value().number, placement=Shard(0), is_pinned=True))
            ours(x).square().mean().backward()
            optimizer.step()
        last = max(message.number for message in link.sent if isinstance(message, Call))
        second = Executor(SimulatedFabric(2), decisions=decisions[saved["decided"] :], decided_until=last)
        for message in link.sent[: saved["sent"]]:
            if hasattr(message, "body"):
                second.handle(message)
        second.restore(saved["state"], saved["pieces"])
        for message in link.sent[saved["sent"] :]:
            second.handle(message)
        for parameter in ours.parameters():
            value = parameter._read_value().number
            one, other = (each.handle(Fetch(request=0, value=value)) for each in (first, second))
            assert bytes(one.data) == bytes(other.data)


def test_large_values_are_cut_among_ranks_without_being_told():
    held, executor, _ = session()
    with use_session(held):
        large, small = torch.zeros(300, 1024).to("workers"), torch.zeros(4).to("workers")
        assert executor.values[large._read_value().number].placement == Shard(1)
        assert executor.values[small._read_value().number].placement == Replicate()


def test_a_pinned_placement_is_kept_by_what_is_written_in_place():
    held, executor, link = session()
    with use_session(held):
        tensor = torch.ones(4, 6).to("workers")
        link.send(Place(value=tensor._read_value().number, placement=Shard(0), is_pinned=True))
        for _ in range(8):
            tensor.add_(torch.ones(6).to("workers"))
            held.flush()
            now = executor.values[tensor._read_value().number]
            assert (now.placement, now.is_pinned) == (Shard(0), True)


def test_a_placement_demanded_after_a_plan_was_found_is_kept_from_then_on():
    held, executor, link = session()
    with use_session(held):
        tensor = torch.ones(4, 6).to("workers")
        for number in range(24):
            tensor.add_(torch.ones(6).to("workers"))
            held.flush()
            if number == 12:
                value = tensor._read_value().number
                link.send(Place(value=value, placement=Replicate(), is_pinned=True))
            if number > 12:
                assert executor.values[tensor._read_value().number].placement == Replicate()
        assert executor.statistics()["replayed_calls"] > 8
        assert torch.equal(tensor.cpu(), torch.full((4, 6), 25.0))


def test_data_that_is_placed_anew_for_every_step_is_replayed():
    held, executor, link = session()
    with use_session(held):
        weight = torch.ones(4, 4).to("workers").requires_grad_()
        optimizer = torch.optim.SGD([weight], lr=0.01)
        for _ in range(24):
            x = torch.ones(8, 4).to("workers")
            link.send(Place(value=x._read_value().number, placement=Shard(0), is_pinned=True))
            optimizer.zero_grad()
            (x @ weight).sum().backward()
            optimizer.step()
        assert executor.statistics()["replayed_calls"] > 8
        assert torch.allclose(weight.detach().cpu(), torch.full((4, 4), 1 - 24 * 8 * 0.01))


def test_an_op_without_its_arguments_fails_where_it_is_fetched():
    executor, meta = Executor(SimulatedFabric(2)), TensorMeta((2, 2), (2, 1), torch.float32)
    template = Template(op="aten.mm.default", args=(INPUT,), inputs=(meta,), outputs=(meta,))
    segment = Segment(templates=(template,), steps=(Step(0, (-1,), 1, 0),), inputs=(meta,))
    executor.handle(Define(segment=0, body=segment))
    executor.handle(Put(value=1, meta=meta, data=bytes(16)))
    call = Call(segment=0, inputs=(1,), live=(0,), outputs=(2,), freed=(1,), floats=(), number=0)
    executor.handle(call)
    reply = executor.handle(Fetch(request=1, value=2))
    assert reply is not None
    assert reply.body["error"]["call"] == 0
    assert list(executor.values) == [2]


def test_a_dim_that_is_not_there_does_not_bring_a_rank_down():
    held, _, link = session()
    with use_session(held):
        tensor = torch.ones(4).to("workers")
        link.send(Place(value=tensor._read_value().number, placement=Shard(7)))
        assert tensor.tolist() == [1.0] * 4


def test_what_was_given_up_for_a_demanded_placement_is_taken_up_in_no_later_life():
    held, executor, link = session()
    with use_session(held):
        tensor = torch.ones(4, 6).to("workers")
        for _ in range(12):
            tensor.add_(torch.ones(6).to("workers"))
            held.flush()
        assert executor.snapshot()["state"]["decisions"]
        value = tensor._read_value().number
        link.send(Place(value=value, placement=Shard(0), is_pinned=True))
        assert not executor.snapshot()["state"]["decisions"]


def test_what_is_freed_is_forgotten_where_nothing_else_is_sent():
    held, executor, _ = session()
    with use_session(held):
        for _ in range(10):
            torch.ones(3).to("workers").cpu()
        held.flush()
        assert not executor.replayer.hot._arrived


def test_contents_that_could_not_be_sent_are_not_freed():
    class Narrow(Link):
        def send(self, message: Message) -> None:
            if isinstance(message, Put):
                raise InputError("too large")
            super().send(message)

    link = Narrow(Executor(SimulatedFabric(2)))
    held = Session(link)
    with pytest.raises(InputError, match="too large"):
        held.put(torch.ones(3))
    held.flush()
    assert not link.sent


def test_what_does_not_fit_fails_with_numbers_and_the_rest_goes_on():
    held, executor, _ = session(memory_bytes=10_000)
    with use_session(held):
        kept = torch.ones(32).to("workers")
        large = torch.ones(100, 100).to("workers")
        with pytest.raises(RemoteError, match=r"OutOfMemory: .*\(100, 100\).*20.0 kB.*10.0 kB"):
            large.cpu()
        assert kept.sum().item() == 32
        fits = torch.ones(60, 50).to("workers")
        assert executor.values[fits._read_value().number].placement == Shard(0)
        assert executor.statistics()["held_bytes"] <= 10_000


def test_views_are_counted_once():
    held, executor, _ = session(1)
    with use_session(held):
        whole = torch.ones(64, 64).to("workers")
        before = executor.statistics()["held_bytes"]
        part = whole.t()
        held.flush()
        assert executor.statistics()["held_bytes"] == before
        del part, whole
        held.flush()
        assert executor.statistics()["held_bytes"] == 0


def test_what_a_plan_holds_otherwise_is_counted_so():
    held, executor, _ = session()
    with use_session(held):
        # Large enough to be cut where nobody says how it shall be held; one worker alone holds it whole.
        weight, told = torch.randn(1024, 512).to("workers"), set()
        for step in range(20):
            x = torch.randn(2, 1024).to("workers")
            assert (x @ weight).sum().isfinite().item(), step
            del x
            held.flush()
            value = executor.values[weight._read_value().number]
            told.add(executor.statistics()["held_bytes"])
            assert executor.statistics()["held_bytes"] == executor.values.bytes_of(value)
    assert told == {2**20, 2**21}
    assert executor.statistics()["peak_bytes"] >= 2**21


def test_a_poisoned_call_fails_its_outputs_alone():
    held, executor, _ = session()
    with use_session(held):
        one = torch.ones(4).to("workers")
        held.flush()
        executor.poisoned[0] = Failure(kind="Lost", message="gone", traceback="", call=0, step=None)
        two = one + 1
        with pytest.raises(RemoteError, match="Lost: gone"):
            two.cpu()
        assert (one + 2).sum().item() == 12


def test_an_error_in_a_replayed_program_fails_its_outputs_and_nothing_else():
    held, executor, _ = session()
    with use_session(held):
        table = torch.arange(12.0).reshape(4, 3).to("workers")
        for _ in range(14):
            assert F.embedding(torch.tensor([0, 1]).to("workers"), table).sum().item() == 15
        assert executor.statistics()["replayed_calls"]
        with pytest.raises(RemoteError, match="range"):
            F.embedding(torch.tensor([0, 9]).to("workers"), table).sum().item()
        assert F.embedding(torch.tensor([0, 1]).to("workers"), table).sum().item() == 15


def test_put_cuts_the_bytes_for_every_dtype():
    for dtype in (torch.bool, torch.bfloat16, torch.float64, torch.complex128, torch.int16):
        _, executor, _ = session(3)
        tensor = torch.arange(20).reshape(4, 5).to(dtype)
        data = bytes(tensor.view(torch.uint8).numpy())
        meta = torch.ops.aten.zeros_like.default(tensor)
        from outgrow.shard.instructions import TensorMeta

        put = Put(
            value=1,
            meta=TensorMeta((4, 5), tuple(meta.stride()), dtype),
            data=memoryview(data).toreadonly(),
            placement=Shard(0),
        )
        executor.handle(put)
        pieces = executor.values[1].pieces
        assert [tuple(piece.shape) for piece in pieces if piece is not None] == [(2, 5), (2, 5), (0, 5)]
        reply = executor.handle(Fetch(request=0, value=1))
        assert reply is not None
        assert bytes(reply.data) == data
