"""Rates come from two looks at the same process."""

from outgrow.shard.monitor import worker_figures


def rank(number=0, **over):
    counted = {
        "rank": number,
        "pid": 10 + number,
        "host": "here",
        "is_ready": True,
        "queue": 2,
        "seconds": 100.0,
        "busy_seconds": 1.0,
        "instructions": 1000,
        "memory_bytes": 5_000_000,
        "exchanged_bytes": 0,
        "sent_bytes": 10,
        "received_bytes": 20,
    }
    return counted | over


def test_rates_are_differences_over_time():
    later = rank(
        seconds=102.0,
        busy_seconds=2.0,
        instructions=5000,
        exchanged_bytes=400,
        sent_bytes=20,
        received_bytes=50,
    )
    (figures,) = worker_figures({"ranks": [rank()]}, {"ranks": [later]})
    assert figures.busy == 0.5
    assert figures.instructions_per_second == 2000
    assert figures.exchanged_bytes_per_second == 200
    assert figures.client_bytes_per_second == 20
    assert figures.queue == 2
    assert figures.as_dict()["memory_bytes"] == 5_000_000


def test_a_first_look_and_a_new_process_have_no_rates():
    for before in (None, {"ranks": []}, {"ranks": [rank(pid=99)]}, {"ranks": [rank()]}):
        (figures,) = worker_figures(before, {"ranks": [rank()]})
        assert figures.busy is figures.instructions_per_second is None
        assert figures.memory_bytes == 5_000_000


def test_a_worker_that_has_said_nothing_yet():
    silent = {"rank": 0, "is_ready": False, "queue": 0}
    (figures,) = worker_figures({"ranks": [silent]}, {"ranks": [silent]})
    assert figures.pid is figures.busy is figures.memory_bytes is None
    assert not figures.is_ready


def test_workers_come_in_order_and_are_never_busier_than_the_clock():
    before = {"ranks": [rank(2), rank(0)]}
    after = {"ranks": [rank(2, seconds=101.0, busy_seconds=9.0), rank(0, seconds=101.0, busy_seconds=0.0)]}
    figures = worker_figures(before, after)
    assert [one.worker for one in figures] == [0, 2]
    assert [one.busy for one in figures] == [0.0, 1.0]
