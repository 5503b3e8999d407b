"""What is done about faults: events and the actions expected."""

import pytest

from outgrow.errors import InputError
from outgrow.shard.recovery.actions import GiveUp, Kill, Poison, Restore, Start, Tell
from outgrow.shard.recovery.events import Broken, Gone, Ready, Resent, Sign, Tick
from outgrow.shard.recovery.limits import RecoveryLimits
from outgrow.shard.recovery.recovery_state import Phase
from tests.shard.recovery.story import Story, failed, gone


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


@pytest.mark.parametrize("name", ["silence_seconds", "overhead", "tries", "log_bytes"])
def test_limits_of_nothing_are_refused(name):
    with pytest.raises(InputError, match=name):
        RecoveryLimits(**{name: 0})
