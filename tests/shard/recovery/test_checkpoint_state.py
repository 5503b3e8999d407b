"""When a checkpoint is taken, when one counts, and what the log keeps: events and the actions expected."""

import pytest

from outgrow.shard.recovery.actions import Discard, Forget, Kill, Restore, Start, Take, Tell
from outgrow.shard.recovery.events import NotRestored, NotStored, Stored
from tests.shard.recovery.story import Story, failed, gone


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
