"""Random faults against a model of the ranks: nothing is run twice, nothing is lost."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outgrow.shard.recovery.actions import Discard, Forget, GiveUp, Kill, Restore, Start, Take
from outgrow.shard.recovery.events import Gone, Ready, Sent, Sign, Stored, Tick
from outgrow.shard.recovery.limits import RecoveryLimits
from outgrow.shard.recovery.recovery_state import Phase, RecoveryState


class Ranks(RuleBasedStateMachine):
    """Ranks that run, store, die and stop; after every recovery they hold what an undisturbed run would."""

    @initialize(world_size=st.integers(1, 3))
    def begin(self, world_size):
        self.limits = RecoveryLimits(interval_seconds=0.3, log_messages=40, barren=10**6, tries=3)
        self.state = RecoveryState(world_size, self.limits)
        self.at = 0.0
        self.head = -1
        self.log = []
        self.slots = {}
        self.act(self.state.start(self.at))

    def act(self, actions):
        for action in actions:
            match action:
                case Kill():
                    self.ranks = []
                case Start():
                    size = self.state.world_size
                    self.ranks = [
                        {"ready": False, "queue": [], "ran": (), "at": -1, "stopped": False}
                        for _ in range(size)
                    ]
                case Restore():
                    assert action.gang == self.state.gang
                    for number, rank in enumerate(self.ranks):
                        if action.checkpoint is not None:
                            checkpoint, ran = self.slots[number, action.slot]
                            assert checkpoint == action.checkpoint, "what is restored is what was completed"
                            rank["ran"] = ran
                        assert all(seq in self.log for seq in range(action.since, self.head + 1))
                        rank["queue"] = list(range(action.since, self.head + 1))
                case Discard():
                    self.log = [seq for seq in self.log if seq >= action.before]
                case Take():
                    for rank in self.ranks:
                        rank["queue"].append(action)
                case Forget():
                    raise AssertionError("nothing was lost here")
                case GiveUp():
                    raise AssertionError("and nothing given up")
        self.state.check()

    def tell(self, event):
        self.act(self.state.handle(event, self.at))

    def is_live(self, rank):
        return self.ranks[rank]["ready"] and not self.ranks[rank]["stopped"]

    ranks_drawn = st.integers(0, 2)

    @rule(rank=ranks_drawn)
    def ready(self, rank):
        rank %= self.state.world_size
        if not self.ranks[rank]["ready"]:
            self.ranks[rank]["ready"] = True
            self.tell(Ready(gang=self.state.gang, rank=rank))

    # Whoever sends is held up while too much is under way, so that the log never overflows.
    @precondition(lambda self: len(self.log) < 34)
    @rule(count=st.integers(1, 6), ends_step=st.booleans())
    def send(self, count, ends_step):
        for _ in range(count):
            self.head += 1
            self.log.append(self.head)
            if self.state.phase in (Phase.RUNNING, Phase.CATCHING_UP):
                for rank in self.ranks:
                    rank["queue"].append(self.head)
            self.tell(Sent(seq=self.head, nbytes=10, ends_step=ends_step))

    @rule(rank=ranks_drawn, count=st.integers(1, 30))
    def run(self, rank, count):
        rank %= self.state.world_size
        for _ in range(count):
            one = self.ranks[rank]
            if not self.is_live(rank) or not one["queue"]:
                return
            message = one["queue"].pop(0)
            if isinstance(message, Take):
                self.slots[rank, message.slot] = (message.checkpoint, one["ran"])
                self.tell(
                    Stored(gang=self.state.gang, rank=rank, checkpoint=message.checkpoint, seconds=0.001)
                )
                continue
            one["ran"] = (*one["ran"], message)
            assert one["ran"] == tuple(range(message + 1)), "all of the order, each once"
            one["at"] = message
            self.tell(Sign(gang=self.state.gang, rank=rank, started=message, finished=message))

    @rule(rank=ranks_drawn)
    def kill(self, rank):
        rank %= self.state.world_size
        self.tell(Gone(gang=self.state.gang, rank=rank, how="was killed"))

    @rule(rank=ranks_drawn, is_storing=st.booleans())
    def kill_while_storing(self, rank, is_storing):
        """The slot is torn; whoever wrote into it is gone."""
        rank %= self.state.world_size
        queue = self.ranks[rank]["queue"]
        if self.is_live(rank) and queue and isinstance(queue[0], Take):
            self.slots[rank, queue[0].slot] = (None, None)
            self.kill(rank)

    @rule(rank=ranks_drawn)
    def stop(self, rank):
        self.ranks[rank % self.state.world_size]["stopped"] = True

    @precondition(lambda self: self.ranks)
    @rule(ticks=st.integers(1, 20))
    def wait(self, ticks):
        gang = self.state.gang
        for _ in range(ticks):
            self.at += 0.1
            for rank in range(self.state.world_size):
                if self.is_live(rank):
                    at = self.ranks[rank]["at"]
                    self.tell(Sign(gang=self.state.gang, rank=rank, started=at, finished=at))
            self.tell(Tick())
        silent = [rank for rank in self.ranks if rank["ready"] and rank["stopped"]]
        assert ticks < 15 or not silent or self.state.gang != gang, "a stopped rank is found"

    @invariant()
    def the_log_reaches_back_far_enough(self):
        if hasattr(self, "state"):
            assert self.log == list(range(self.state.since, self.head + 1))


TestRanks = Ranks.TestCase
TestRanks.settings = settings(max_examples=40, stateful_step_count=40)
