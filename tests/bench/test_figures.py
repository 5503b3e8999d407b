import pytest

from bench import figures


def make_sample(**changes):
    phase = {"seconds": 1.0, "cpu_seconds": 2.0, "disk_bytes": 0, "peak_anon_bytes": 300}
    sample = {
        "spec": {"budget_bytes": 100},
        "anon_imported_bytes": 250,
        "anon_open_bytes": 280,
        "open": {**phase, "peak_anon_bytes": 290},
        "prefills": [{**phase, "peak_anon_bytes": 330}],
        "decode": {**phase, "disk_bytes": 1200},
        "decode_step_seconds": [0.1, 0.2, 0.6],
        "logits_sha256": ["a", "b", "c", "d"],
    }
    return sample | changes


def test_spread_has_median_range_and_quartiles():
    found = figures.spread([4.0, 1.0, 2.0, 3.0, 5.0])
    assert found == {"samples": [4.0, 1.0, 2.0, 3.0, 5.0], "median": 3.0, "min": 1.0, "max": 5.0, "iqr": 2.0}
    assert figures.spread([7.0])["iqr"] == 0
    assert figures.spread([])["median"] is None


def test_token_seconds_are_the_mean_because_steps_share_reads():
    assert figures.token_seconds(make_sample()) == pytest.approx(0.3)


def test_streamed_bytes_are_per_token():
    assert figures.streamed_bytes_per_token(make_sample()) == 400


@pytest.mark.parametrize(
    ("compute", "streamed", "expected"),
    [(0.1, 400, 2.0), (3.0, 400, 3.0), (0.1, 0, 0.1)],
    ids=["disk", "compute", "fits"],
)
def test_floor_is_the_slower_of_compute_and_disk(compute, streamed, expected):
    assert figures.floor_seconds(compute, streamed, 200.0) == expected


def test_inflight_rate_is_that_of_decoding_alone():
    before, after = ({"bytes_read": n, "disk_busy_seconds": s} for n, s in ((100, 1.0), (700, 3.0)))
    sample = make_sample(statistics_prefill=before, statistics=after)
    assert figures.inflight_bytes_per_second(sample) == 300
    assert figures.inflight_bytes_per_second(make_sample(statistics_prefill=None, statistics=None)) is None
    assert (
        figures.inflight_bytes_per_second(make_sample(statistics_prefill=before, statistics=before)) is None
    )


def test_ideal_bytes_leave_out_embedding_and_budget():
    assert figures.ideal_bytes_per_token(1000, 100, 300) == 600
    assert figures.ideal_bytes_per_token(1000, 100, 1000) == 0


def test_overhead_is_imports_and_what_a_pass_adds():
    assert figures.overhead_bytes(make_sample()) == 250 + (330 - 280)


def test_anon_excess_counts_the_highest_phase():
    assert figures.anon_excess_bytes(make_sample(), 200) == 330 - 200 - 100


def test_equal_steps_compare_only_what_both_have():
    other = make_sample(logits_sha256=["a", "x", "c"])
    assert figures.equal_steps(make_sample(), other) == (2, 3)


def test_failure_names_type_phase_and_first_line():
    error = {"type": "RuntimeError", "phase": "open", "text": "no room\nmore"}
    assert figures.failure({"error": error}) == "RuntimeError in open: no room"
    assert figures.failure(make_sample()) is None
