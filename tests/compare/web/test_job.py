"""One comparison after the other: progress, ends of all kinds, and nothing left open."""

import asyncio
import threading
import time

import pytest

from outgrow.compare.web.job import Job
from outgrow.compare.web.progressed import Progressed
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.task import Cancelled
from outgrow.errors import InputError
from outgrow.events import Progress
from tests.compare.web import own_loop


class Made:
    """Stands for a comparison: what it does when it is judged is up to the test."""

    def __init__(self, judge=lambda: (), listener=None):
        self._judge = judge
        self.listener = listener
        self.closed = 0

    @property
    def findings(self):
        return self._judge()

    diagnoses = ()

    def close(self):
        self.closed += 1


@pytest.fixture
def job():
    made = Job()
    yield made
    made.close()
    assert made.join(5)


def until(job, *states):
    """Its status when it has come to one of them."""
    end = time.monotonic() + 5
    while job.status.state not in states:
        assert time.monotonic() < end, job.status
        time.sleep(0.001)
    return job.status


def test_a_comparison_is_ready_to_be_read_until_it_is_closed(job):
    comparison = Made()
    assert job.start(lambda _: comparison).state == "opening"
    status = until(job, "ready")
    assert status.seconds > 0
    with job.reading() as found, job.reading(status.revision):
        assert found is comparison
    with pytest.raises(ApiError, match="another comparison"), job.reading(status.revision - 1):
        raise AssertionError
    job.close()
    assert comparison.closed == 1
    with pytest.raises(ApiError, match="nothing is compared"), job.reading():
        raise AssertionError


def test_what_goes_wrong_is_told_and_what_was_made_is_closed(job, capsys):
    def wrong():
        raise InputError("it is wrong", hint="make it right")

    def fault():
        raise KeyError("secret")

    def refuse(_):
        return wrong()

    job.start(refuse)
    status = until(job, "failed")
    assert (status.message, status.hint) == ("it is wrong", "make it right")
    for judge in (wrong, fault):
        comparison = Made(judge)
        job.start(lambda _, made=comparison: made)
        status = until(job, "failed")
        assert comparison.closed == 1
    assert status.message == "a fault in outgrow: KeyError"
    assert "secret" not in str(status.as_dict())
    assert "secret" in capsys.readouterr().err
    comparison = Made()
    job.start(lambda _: comparison)
    status = until(job, "ready")
    assert (status.message, status.hint) == (None, None)


def waiting_for(event):
    """A comparison that is judged until it is cancelled."""

    def make(listener):
        def judge():
            event.set()
            while True:
                listener(Progress(task="comparing", done=1, total=9, item="x"))
                time.sleep(0.001)

        make.made = Made(judge)
        return make.made

    return make


def test_it_can_be_cancelled_and_begun_again(job):
    begun = threading.Event()
    make = waiting_for(begun)
    job.start(make)
    assert begun.wait(5)
    assert until(job, "comparing").item == "x"
    job.cancel()
    until(job, "cancelled")
    assert make.made.closed == 1
    job.start(lambda _: Made())
    until(job, "ready")
    job.cancel()
    assert job.status.state == "ready"


def test_it_can_be_cancelled_while_it_is_opened(job):
    begun = threading.Event()

    def make(listener):
        begun.set()
        while True:
            listener(None)
            time.sleep(0.001)

    job.start(make)
    assert begun.wait(5)
    job.cancel()
    until(job, "cancelled")


def test_a_new_one_ends_the_one_before_and_waits_for_its_thread(job):
    makers = []
    running = threading.Semaphore(1)
    for _ in range(20):

        def make(listener):
            assert running.acquire(blocking=False), "two compare at a time"
            try:
                time.sleep(0.002)
                listener(None)
            finally:
                running.release()
            return makers.append(Made()) or makers[-1]

        job.start(make)
    until(job, "ready")
    assert [made.closed for made in makers] == [1] * (len(makers) - 1) + [0]
    job.close()
    assert makers[-1].closed == 1


def test_the_one_before_says_nothing_any_more(job):
    listeners = []
    job.start(lambda listener: listeners.append(listener) or Made())
    until(job, "ready")
    job.start(lambda _: Made())
    status = until(job, "ready")
    with pytest.raises(Cancelled):
        listeners[0](Progress(task="comparing", done=5, total=9))
    assert job.status == status


def test_a_change_is_made_from_what_is_ready_and_a_wrong_one_changes_nothing(job):
    old, new = Made(), Made()
    job.start(lambda _: old)
    status = until(job, "ready")

    def wrong(_, __):
        raise InputError("no such layout", hint="look")

    with pytest.raises(InputError):
        job.alter(wrong)
    assert job.status == status
    seen = []

    def change(comparison, listener):
        seen.append((comparison, comparison.closed))
        listener(Progress(task="comparing", done=0, total=1))
        return new

    assert job.alter(change).state == "opening"
    until(job, "ready")
    assert seen == [(old, 0)]
    assert (old.closed, new.closed) == (1, 0)
    with job.reading() as found:
        assert found is new


def test_a_change_needs_something_that_is_ready(job):
    with pytest.raises(ApiError, match="nothing is compared"):
        job.alter(lambda comparison, _: comparison)


def test_a_change_that_comes_after_the_end_is_closed(job):
    old, new = Made(), Made()
    job.start(lambda _: old)
    until(job, "ready")

    def change(_comparison, _listener):
        job.close()
        return new

    with pytest.raises(ApiError):
        job.alter(change)
    assert (old.closed, new.closed) == (1, 1)


def test_nothing_begins_after_the_end(job):
    job.close()
    with pytest.raises(ApiError, match="not known"):
        job.start(lambda _: Made())


def test_closing_does_not_wait_for_what_is_slow():
    job = Job()
    release, begun = threading.Event(), threading.Event()
    comparison = Made()

    def make(_):
        begun.set()
        release.wait(5)
        return comparison

    job.start(make)
    assert begun.wait(5)
    started = time.monotonic()
    job.close()
    assert not job.join(0)
    assert time.monotonic() - started < 1
    release.set()
    assert job.join(5)
    assert comparison.closed == 1
    assert job.status.state == "empty"  # nobody hears of its end


def test_who_waits_hears_of_a_change_at_once_and_of_none_in_time(job):
    async def wait():
        started = time.monotonic()
        status = await job.changed(job.status.revision, 0.05)
        assert status == job.status
        assert 0.04 < time.monotonic() - started < 2
        status = await job.changed(job.status.revision + 7, 60)
        assert status == job.status
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, lambda: job.start(lambda _: Made()))
        status = await job.changed(job.status.revision, 60)
        assert status.revision > 0
        until(job, "ready")
        loop.call_later(0.02, job.wake)
        revision = job.status.revision
        assert (await job.changed(revision, 60)).revision == revision
        waiting = [asyncio.create_task(job.changed(revision, 60)) for _ in range(100)]
        await asyncio.sleep(0.01)
        job.close()
        assert {(await task).state for task in waiting} == {"empty"}
        assert (await job.changed(job.status.revision, 60)).state == "empty"

    own_loop.run(wait())
    assert job._waiting == set()


def test_a_call_that_was_cancelled_waits_no_more(job):
    async def wait():
        task = asyncio.create_task(job.changed(0, 60))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    own_loop.run(wait())
    assert job._waiting == set()


def test_progress_is_told_a_few_times_a_second():
    job = Job(Progressed(revision=10))

    def make(listener):
        for done in range(100_000):
            listener(Progress(task="comparing", done=done, total=100_000))
        listener(Progress(task="comparing", done=100_000, total=100_000))
        return Made()

    started = time.monotonic()
    job.start(make)
    until(job, "ready")
    assert job.status.done == 100_000
    assert job.status.revision < 10 + 6 + (time.monotonic() - started) / 0.05
    job.close()
    assert job.join(5)


def test_comparisons_of_all_tabs_share_their_places():
    places = threading.Semaphore(1)
    first, second, third = (Job(places=places) for _ in range(3))
    begun = threading.Event()
    first.start(waiting_for(begun))
    assert begun.wait(5)
    comparison = Made()
    second.start(lambda _: comparison)
    third.start(lambda _: pytest.fail("it was cancelled"))
    end = time.monotonic() + 5
    while second.status.item is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert (second.status.state, "other tabs" in second.status.item) == ("opening", True)
    third.cancel()
    until(third, "cancelled")
    assert second.status.state == "opening"
    first.cancel()
    until(second, "ready")
    assert second.status.item is None
    # A change that was made, and never got a place.
    first.start(waiting_for(begun := threading.Event()))
    assert begun.wait(5)
    changed = Made()
    second.alter(lambda _old, _listener: changed)
    second.cancel()
    until(second, "cancelled")
    assert changed.closed == 1
    first.cancel()
    until(first, "cancelled")
    for job in (first, second, third):
        job.close()
        assert job.join(5)
    assert places.acquire(blocking=False)
