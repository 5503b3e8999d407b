"""Recovery on one rank: what was held is there again, what shall fail fails, what is lost says so."""

import json

import pytest
import torch

from outgrow.placement import Shard
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.messages import Ask, Fetch, Put
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.held import Failure
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.recovery.agreement import GangBroken
from outgrow.shard.recovery.checkpoint_files import CheckpointFiles
from outgrow.shard.recovery.pulse import PulseBoard
from outgrow.shard.recovery.rank_recovery import RankRecovery

META = TensorMeta((4,), (1,), torch.float32)
ORDER = {"checkpoint": None, "slot": 0, "decisions": {}, "decided_until": {}, "lost": None, "poison": []}


class Life:
    """One life of a rank, with all lanes in this process; sessions as the dispatcher would open them."""

    def __init__(self, files, order=ORDER, **options):
        self.said = []
        settings = {"checkpoint_bytes": None, "is_cut": lambda: False, **options}
        descriptors = (files.page(1), *files.of(0))
        self.recovery = RankRecovery(
            rank=0, world_size=1, files=descriptors, store=None, say=self.said.append, **settings
        )
        self.recovery.restore(order, torch.device("cpu"))
        self.executors = {}
        self.seq = 0

    def open(self, session):
        made = Executor(SimulatedFabric(2), **self.recovery.options(session))
        self.executors[session] = made
        self.recovery.opened(session, made)
        return made

    def handle(self, session, message, seq=None):
        self.seq = self.seq + 1 if seq is None else seq
        self.recovery.takes_up(self.seq)
        reply = self.recovery.handle(self.executors[session], message)
        self.recovery.done_with(self.seq)
        return reply

    def store(self, checkpoint, slot=0):
        self.recovery.store({"checkpoint": checkpoint, "slot": slot}, self.executors)


class Link:
    """A client's line to one session of a life; keeps what went through."""

    def __init__(self, life, session):
        self.life, self.session, self.log = life, session, []

    def send(self, message):
        self.log.append(message)
        self.life.handle(self.session, message)

    def request(self, message):
        return self.life.handle(self.session, message)

    def close(self):
        pass


class Files(CheckpointFiles):
    """Places for checkpoints, and pages that are given back with them."""

    def __init__(self):
        super().__init__(1)
        self.boards = []

    def page(self, world_size):
        self.boards.append(PulseBoard(world_size))
        return self.boards[-1].descriptor

    def close(self):
        super().close()
        for board in self.boards:
            board.close()


@pytest.fixture
def files():
    with Files() as files:
        yield files


def put(value, *numbers, **fields):
    return Put(value=value, meta=META, data=torch.tensor(numbers).numpy().tobytes(), **fields)


def fetched(life, session, value):
    reply = life.handle(session, Fetch(request=1, value=value))
    assert "error" not in reply.body, reply.body
    return torch.frombuffer(bytearray(reply.data), dtype=torch.float32).tolist()


def test_values_of_all_sessions_are_there_again(files):
    life = Life(files)
    for session in (1, 2):
        life.open(session)
    life.handle(1, put(5, 1.0, 2.0, 3.0, 4.0, placement=Shard(0)))
    life.handle(2, put(5, 9.0, 9.0, 9.0, 9.0))
    life.store(3, slot=1)
    assert life.said[-1]["event"] == "stored"
    again = Life(files, {**ORDER, "checkpoint": 3, "slot": 1})
    for session in (2, 1):
        again.open(session)
    assert again.executors[1].values[5].placement == Shard(0)
    assert fetched(again, 1, 5) == [1.0, 2.0, 3.0, 4.0]
    assert fetched(again, 2, 5) == [9.0, 9.0, 9.0, 9.0]


def test_a_training_goes_on_from_a_checkpoint_with_the_same_bits(files):
    """Stored in the middle; another life runs again what came after, and ends with the same weights."""
    life = Life(files)
    life.open(1)
    link = Link(life, 1)
    session = Session(link)
    with use_session(session):
        torch.manual_seed(0)
        model = torch.nn.Linear(6, 3).to("workers")
        optimizer = torch.optim.Adam(model.parameters())
        since = 0
        for step in range(8):
            optimizer.zero_grad()
            model(torch.randn(4, 6).to("workers")).square().mean().backward()
            optimizer.step()
            session.flush()
            if step == 3:
                life.store(1)
                since = len(link.log)
        held = life.executors[1].values
        expected = {number: held[number].pieces[0].clone() for number in held}
    definitions = [one for one in link.log[:since] if type(one).__name__ == "Define"]
    again = Life(files, {**ORDER, "checkpoint": 1})
    again.open(1)
    for message in (*definitions, *link.log[since:]):
        again.handle(1, message)
    found = again.executors[1].values
    assert set(found) == set(expected)
    for number, piece in expected.items():
        assert torch.equal(found[number].pieces[0], piece)


def test_too_large_is_said_and_nothing_is_stored(files):
    life = Life(files, checkpoint_bytes=1000)
    life.open(1)
    life.handle(1, put(5, 1.0, 2.0, 3.0, 4.0))
    life.store(1)
    assert life.said[-1]["event"] == "not stored"
    assert "1,000" in life.said[-1]["text"]


def test_a_rank_elsewhere_says_that_it_stores_nothing():
    said = []
    recovery = RankRecovery(
        rank=0,
        world_size=1,
        files=(),
        store=None,
        checkpoint_bytes=None,
        say=said.append,
        is_cut=lambda: False,
    )
    recovery.start()
    recovery.takes_up(1)
    recovery.store({"checkpoint": 1, "slot": 0}, {})
    recovery.done_with(1)
    assert [note["event"] for note in said] == ["not stored"]


def test_a_damaged_checkpoint_is_said(files):
    life = Life(files, {**ORDER, "checkpoint": 7})
    assert life.said[-1]["event"] == "not restored"


def test_lost_values_say_so_and_new_ones_work(files):
    life = Life(files, {**ORDER, "lost": "rank 1 was killed"})
    life.open(1)
    reply = life.handle(1, Fetch(request=1, value=5))
    assert reply.body["error"]["message"] == "the value was lost: rank 1 was killed"
    life.handle(1, put(6, 1.0, 2.0, 3.0, 4.0))
    assert fetched(life, 1, 6) == [1.0, 2.0, 3.0, 4.0]


def poisoned(seq, text="it died 3 times", *, is_reported=False, step=None):
    return {**ORDER, "poison": [{"seq": seq, "step": step, "text": text, "is_reported": is_reported}]}


def test_poisoned_contents_fail_where_they_are_fetched(files):
    life = Life(files, poisoned(4))
    life.open(1)
    life.handle(1, put(5, 1.0, 2.0, 3.0, 4.0), seq=4)
    assert life.handle(1, Fetch(request=1, value=5)).body["error"]["message"] == "it died 3 times"


@pytest.mark.parametrize("question", [Fetch(request=8, value=5), Ask(request=8, topic="statistics")])
def test_poisoned_questions_are_answered_with_the_error(files, question):
    life = Life(files, poisoned(9))
    life.open(1)
    life.handle(1, put(5, 1.0, 2.0, 3.0, 4.0))
    reply = life.handle(1, question, seq=9)
    assert reply.request == 8
    assert reply.body["error"]["message"] == "it died 3 times"
    assert fetched(life, 1, 5) == [1.0, 2.0, 3.0, 4.0]


def test_a_poisoned_call_fails_with_what_the_rank_reported(files):
    failure = {"kind": "RuntimeError", "message": "no memory", "traceback": "Tb", "call": 0, "step": 0}
    life = Life(files, poisoned(100, json.dumps(failure), is_reported=True, step=0))
    life.open(1)
    link = Link(life, 1)
    session = Session(link)
    with use_session(session):
        fine = torch.ones(4).to("workers")
        session.flush()
        made = fine * 2
        life.seq = 98
        with pytest.raises(Exception, match="no memory") as caught:
            made.cpu()
        assert "test_rank_recovery.py" in str(caught.value)
        assert fine.sum().item() == 4.0


def test_a_lone_rank_agrees_with_itself(files):
    life = Life(files)
    life.recovery.agree(Failure(kind="IndexError", message="no", traceback="", call=1, step=2))


def test_a_broken_exchange_is_no_failure_of_an_op(files):
    life = Life(files)
    failure = Failure(
        kind="RuntimeError",
        message="[gloo/transport/tcp/pair.cc] Connection closed",
        traceback="",
        call=1,
        step=2,
    )
    with pytest.raises(GangBroken):
        life.recovery.agree(failure)


def test_a_rank_that_nobody_wants_waits_for_nobody(files):
    said = []
    recovery = RankRecovery(
        rank=0,
        world_size=2,
        files=(files.page(2), *files.of(0)),
        store=None,
        checkpoint_bytes=None,
        say=said.append,
        is_cut=lambda: True,
    )
    with pytest.raises(GangBroken, match="let go"):
        recovery.agree(Failure(kind="IndexError", message="no", traceback="", call=1, step=2))
    assert said[0]["event"] == "failed"
