"""What is done about faults: events and the actions expected; random ones against a model of the ranks."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outgrow.errors import InputError
from outgrow.shard.recovery.actions import (
    Discard,
    Forget,
    GiveUp,
    Kill,
    Poison,
    Restore,
    Start,
    Take,
    Tell,
)
from outgrow.shard.recovery.events import (
    Broken,
    Failed,
    Gone,
    NotRestored,
    NotStored,
    Ready,
    Resent,
    Sent,
    Sign,
    Stored,
    Tick,
)
from outgrow.shard.recovery.limits import RecoveryLimits
from outgrow.shard.recovery.recovery_state import Phase, RecoveryState


class Story:
    """A machine and its time; every event is followed by a check of its invariants."""

    def __init__(self, world_size=2, **limits):
        self.state = RecoveryState(world_size, RecoveryLimits(**limits))
        self.at = 100.0
        self.seq = -1
        assert self.state.start(self.at) == [Start(gang=1)]

    @property
    def gang(self):
        return self.state.gang

    def tell(self, event):
        actions = self.state.handle(event, self.at)
        self.state.check()
        return actions

    def of(self, kind, rank, **fields):
        return self.tell(kind(gang=self.gang, rank=rank, **fields))

    def ready(self):
        actions = []
        for rank in range(self.state.world_size):
            assert not actions
            actions = self.of(Ready, rank)
        return actions

    def sent(self, nbytes=100, ends_step=False):
        self.seq += 1
        return self.tell(Sent(seq=self.seq, nbytes=nbytes, ends_step=ends_step))

    def done(self, seq, started=None):
        """All ranks are done with `seq`."""
        actions = []
        for rank in range(self.state.world_size):
            actions += self.of(Sign, rank, started=seq if started is None else started, finished=seq)
        return actions

    def wait(self, seconds, silent=()):
        """Ticks, with signs of life of all ranks but the silent ones."""
        actions = []
        for _ in range(round(seconds * 10)):
            self.at += 0.1
            for rank, one in enumerate(self.state._ranks):
                if rank not in silent and one.is_ready:
                    actions += self.of(Sign, rank, started=one.started, finished=one.finished)
            actions += self.tell(Tick())
        return actions

    def running(self):
        self.ready()
        assert self.state.phase is Phase.RUNNING
        return self


def gone(story, rank, **fields):
    return story.of(Gone, rank, how="was killed by SIGKILL", **fields)


def test_a_gang_starts_with_everything_that_was_sent_meanwhile():
    story = Story()
    story.sent()
    assert story.of(Ready, 0) == []
    assert story.of(Ready, 1) == [Restore(gang=1, checkpoint=None, slot=0, since=0)]
    assert story.state.phase is Phase.CATCHING_UP
    assert story.done(0) == [], "nothing happened that anybody had to be told"
    assert story.state.phase is Phase.RUNNING


def test_a_killed_rank_restarts_all_and_the_log_is_run_again():
    story = Story().running()
    for _ in range(5):
        story.sent()
    story.done(3)
    story.at += 1
    assert gone(story, 1) == [Kill(gang=1), Start(gang=2)]
    story.at += 0.5
    assert story.ready() == [Restore(gang=2, checkpoint=None, slot=0, since=0)]
    assert story.state.phase is Phase.CATCHING_UP
    story.at += 0.25
    (told,) = story.done(4)
    assert isinstance(told, Tell)
    assert "rank 1 was killed by SIGKILL" in told.text
    assert "after 0.8 s" in told.text
    assert story.state.phase is Phase.RUNNING


def test_recovery_ends_with_what_was_run_again_not_with_questions_that_were_answered():
    story = Story().running()
    for _ in range(5):
        story.sent()
    story.done(4)
    gone(story, 1)
    story.ready()
    assert story.tell(Resent(gang=2, until=3)) == []
    assert [type(action) for action in story.done(3)] == [Tell]
    assert story.state.phase is Phase.RUNNING


def test_recovery_ends_at_once_where_nothing_is_run_again():
    story = Story().running()
    story.sent()
    gone(story, 1)
    story.ready()
    assert [type(action) for action in story.tell(Resent(gang=2, until=-1))] == [Tell]


def test_all_ranks_gone_at_once_are_one_fault():
    story = Story(3).running()
    assert gone(story, 2) == [Kill(gang=1), Start(gang=2)]
    for rank in (0, 1):
        late = Gone(gang=1, rank=rank, how="was killed by SIGKILL")
        assert story.tell(late) == []
    assert story.state.faults == 1


def test_a_silent_rank_is_dead_within_the_limit():
    story = Story(silence_seconds=1.0).running()
    assert story.wait(0.9, silent=(1,)) == []
    actions = story.wait(0.3, silent=(1,))
    assert actions == [Kill(gang=1), Start(gang=2)]


def test_a_rank_that_gives_signs_lives_however_long_it_computes():
    story = Story().running()
    story.sent()
    story.of(Sign, 0, started=0, finished=-1)
    assert story.wait(60.0) == []


def test_own_sleep_is_not_the_silence_of_the_ranks():
    story = Story(silence_seconds=1.0).running()
    story.at += 3600.0  # the machine was asleep
    assert story.tell(Tick()) == []
    assert story.wait(2.0) == []


def test_silence_before_the_first_sign_is_the_start():
    story = Story(start_seconds=20.0)
    assert story.wait(19.5) == []
    assert story.wait(1.0) == [Kill(gang=1), Start(gang=2)]


def test_a_broken_exchange_waits_a_little_for_the_one_who_broke_it():
    story = Story().running()
    assert story.of(Broken, 0, text="Connection closed by peer") == []
    assert gone(story, 1) == [Kill(gang=1), Start(gang=2)]
    assert story.state._fault[1] == "rank 1 was killed by SIGKILL"


def test_a_broken_exchange_alone_ends_the_gang_too():
    story = Story().running()
    story.of(Broken, 0, text="Connection closed by peer")
    assert story.wait(1.0)[:2] == [Kill(gang=1), Start(gang=2)]


def failed(story, rank, seq, step=3, count=1):
    return story.of(Failed, rank, count=count, seq=seq, step=step, text=f"failure of rank {rank}")


def test_a_failure_on_all_ranks_is_no_fault():
    story = Story().running()
    story.sent()
    assert failed(story, 0, 0) == []
    assert failed(story, 1, 0) == []
    assert story.wait(5) == []
    assert failed(story, 1, 0, step=4, count=2) == []
    assert failed(story, 0, 0, step=4, count=2) == []
    assert story.wait(5) == []


def test_a_failure_on_one_rank_becomes_one_of_all():
    story = Story().running()
    for _ in range(3):
        story.sent()
    assert failed(story, 1, 1) == []
    story.of(Sign, 0, started=1, finished=0)
    assert story.wait(0.4) == []
    assert story.wait(0.3) == [Kill(gang=1), Start(gang=2)]
    poison = Poison(seq=1, step=3, text="failure of rank 1", is_reported=True)
    assert story.ready() == [poison, Restore(gang=2, checkpoint=None, slot=0, since=0)]
    for rank in (0, 1):
        failed(story, rank, 1)
    assert [type(action) for action in story.done(2)] == [Tell]
    assert story.wait(5) == []


def test_a_rank_that_comes_to_the_failure_in_time_is_waited_for():
    story = Story().running()
    for _ in range(3):
        story.sent()
    failed(story, 1, 2)
    for seq in range(2):
        assert story.wait(0.4) == []
        story.of(Sign, 0, started=seq + 1, finished=seq)
    assert failed(story, 0, 2) == []
    assert story.wait(5) == []


def test_a_failure_that_others_have_passed_is_one_of_one_rank():
    story = Story().running()
    for _ in range(3):
        story.sent()
    failed(story, 1, 1)
    story.of(Sign, 0, started=2, finished=2)
    assert story.wait(0.7) == [Kill(gang=1), Start(gang=2)]


def test_failures_in_two_places_are_poisoned_at_the_earlier():
    story = Story().running()
    for _ in range(3):
        story.sent()
    failed(story, 0, 2, step=0)
    assert failed(story, 1, 1, step=7) == [Kill(gang=1), Start(gang=2)]
    poison, _ = story.ready()
    assert (poison.seq, poison.step, poison.text) == (1, 7, "failure of rank 1")


def killed_at(story, seq, **fields):
    story.of(Sign, 1, started=seq, finished=seq - 1)
    return gone(story, 1, **fields)


def test_the_message_that_kills_three_times_is_not_run_again():
    story = Story(tries=3).running()
    for _ in range(4):
        story.sent()
    for again in range(2):
        killed_at(story, 2)
        assert [type(action) for action in story.ready()] == [Restore], again
    killed_at(story, 2)
    poison, restore = story.ready()
    assert (poison.seq, poison.step, poison.is_reported) == (2, None, False)
    assert "3 times" in poison.text
    assert isinstance(restore, Restore)
    assert [type(action) for action in story.done(3)] == [Tell]


def test_what_others_do_to_a_rank_blames_no_message():
    story = Story(tries=2).running()
    story.sent()
    for _ in range(6):
        killed_at(story, 0, is_own_doing=False)
        assert [type(action) for action in story.ready()] == [Restore]


def test_kills_at_different_messages_poison_none():
    story = Story(tries=3).running()
    for _ in range(8):
        story.sent()
        story.done(story.seq)
    for seq in range(1, 7):
        killed_at(story, seq)
        assert [type(action) for action in story.ready()] == [Restore]


def test_an_idle_rank_that_is_killed_blames_no_message():
    story = Story(tries=1).running()
    story.sent()
    story.done(0)
    gone(story, 0)
    assert story.state.poisoned == {}


def test_a_fault_during_recovery_begins_it_again():
    story = Story().running()
    story.sent()
    gone(story, 0)
    story.of(Ready, 0)
    story.at += 1.0
    assert gone(story, 1) == [Kill(gang=2), Start(gang=3)]
    story.at += 1.0
    story.ready()
    gone(story, 0)
    story.at += 1.0
    story.ready()
    (told,) = story.done(0)
    assert "after 3.0 s" in told.text, "from the first fault on"


def test_no_endless_loop():
    story = Story(barren=4).running()
    for _ in range(4):
        assert isinstance(gone(story, 0)[-1], Start)
        story.ready()
    kill, last = gone(story, 0)
    assert isinstance(kill, Kill)
    assert isinstance(last, GiveUp)
    assert "was killed by SIGKILL" in last.text
    assert story.state.phase is Phase.LOST
    assert story.wait(100) == []


@pytest.mark.parametrize("progress", ["a message", "time"])
def test_faults_with_work_between_do_not_end_it(progress):
    story = Story(barren=2, tries=1000).running()
    for _ in range(20):
        if progress == "a message":
            story.sent()
            story.done(story.seq)
        else:
            story.wait(11)
        assert isinstance(gone(story, 0)[-1], Start)
        story.ready()
        story.done(story.seq)


def checkpointed(story):
    """Send until a checkpoint is due; its order."""
    story.wait(3)
    (take,) = story.sent(ends_step=True)
    assert isinstance(take, Take)
    return take


def stored(story, take, ranks=(0, 1), seconds=0.01):
    actions = []
    for rank in ranks:
        actions += story.of(Stored, rank, checkpoint=take.checkpoint, seconds=seconds)
    return actions


def test_a_checkpoint_is_taken_at_the_end_of_a_step_and_shortens_the_log():
    story = Story(interval_seconds=2.0).running()
    for _ in range(10):
        assert story.sent(ends_step=True) == []
    story.wait(2.1)
    assert story.sent() == [], "in the middle of a step the ranks hold the most"
    assert story.sent(ends_step=True) == [Take(checkpoint=1, slot=0)]
    assert stored(story, Take(checkpoint=1, slot=0)) == [Discard(before=12)]
    story.sent()
    gone(story, 0)
    assert story.ready() == [Restore(gang=2, checkpoint=1, slot=0, since=12)]


def test_where_no_step_ends_a_checkpoint_is_taken_all_the_same():
    story = Story(interval_seconds=2.0).running()
    story.wait(4.1)
    assert story.sent() == [Take(checkpoint=1, slot=0)]


def test_a_checkpoint_counts_only_when_all_ranks_have_stored_it():
    story = Story().running()
    take = checkpointed(story)
    assert stored(story, take, ranks=(1,)) == []
    story.done(story.seq)
    gone(story, 0)
    assert story.ready() == [Restore(gang=2, checkpoint=None, slot=0, since=0)]
    late = Stored(gang=1, rank=0, checkpoint=take.checkpoint, seconds=0.1)
    assert story.tell(late) == []
    assert story.state.complete is None


def test_the_last_complete_checkpoint_is_never_written_over():
    story = Story().running()
    first = checkpointed(story)
    stored(story, first)
    second = checkpointed(story)
    assert second.slot != first.slot
    stored(story, second, ranks=(0,))
    gone(story, 1)
    assert story.ready()[-1] == Restore(gang=2, checkpoint=first.checkpoint, slot=first.slot, since=1)
    story.done(story.seq)
    third = checkpointed(story)
    assert third.slot == second.slot
    assert third.checkpoint not in (first.checkpoint, second.checkpoint), "a torn one is told from it"


def test_checkpoints_take_no_more_than_their_share_of_the_time():
    story = Story(interval_seconds=1.0, overhead=0.02).running()
    stored(story, checkpointed(story), seconds=0.5)
    story.wait(24)
    assert story.sent(ends_step=True) == []
    story.wait(2)
    assert [type(action) for action in story.sent(ends_step=True)] == [Take]


@pytest.mark.parametrize("limits", [{"log_bytes": 1000}, {"log_messages": 10}], ids=["bytes", "messages"])
def test_a_long_log_makes_a_checkpoint_due(limits):
    story = Story(**limits).running()
    assert [type(action) for _ in range(5) for action in story.sent(100)] == [Take]


def test_a_log_that_cannot_be_shortened_is_dropped_and_everybody_is_told():
    story = Story(log_bytes=1000).running()
    actions = [action for _ in range(5) for action in story.sent(100)]
    (take,) = actions
    assert story.of(NotStored, 1, checkpoint=take.checkpoint, text="too large") == []
    actions = [action for _ in range(8) for action in story.sent(100)]
    assert [type(action) for action in actions] == [Discard, Tell]
    gone(story, 0)
    forget, restore, told = story.ready()
    assert isinstance(forget, Forget)
    assert isinstance(told, Tell)
    assert forget.before == story.seq + 1
    assert restore.since == story.seq + 1
    assert restore.checkpoint is None
    assert story.state.since == story.seq + 1, "what comes from now on is safe again"


def test_without_recovery_nothing_is_kept():
    story = Story(is_on=False).running()
    assert story.sent(10**9) == [Discard(before=1)]
    gone(story, 0)
    assert [type(action) for action in story.ready()] == [Forget, Restore, Tell]


def test_a_damaged_checkpoint_is_said_and_not_used():
    story = Story().running()
    stored(story, checkpointed(story))
    gone(story, 0)
    story.ready()
    assert story.of(NotRestored, 1, text="does not fit its digest") == [Kill(gang=2), Start(gang=3)]
    forget, restore, _ = story.ready()
    assert isinstance(forget, Forget)
    assert restore.checkpoint is None


def test_poison_is_forgotten_once_a_checkpoint_holds_what_came_of_it():
    story = Story().running()
    story.sent()
    failed(story, 1, 0)
    story.wait(1)
    story.ready()
    story.done(0)
    stored(story, checkpointed(story))
    assert story.state.poisoned == {}
    gone(story, 0)
    assert [type(action) for action in story.ready()] == [Restore, Tell], "there is nothing to run again"


@pytest.mark.parametrize("name", ["silence_seconds", "overhead", "tries", "log_bytes"])
def test_limits_of_nothing_are_refused(name):
    with pytest.raises(InputError, match=name):
        RecoveryLimits(**{name: 0})


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
