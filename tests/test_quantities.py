import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.quantities import (
    format_bytes,
    format_count,
    format_factor,
    format_rate,
    format_seconds,
    parse_bytes,
)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("0", 0),
        ("123", 123),
        ("1_000", 1000),
        ("1_000_000.5 kB", 1_000_000_500),
        ("27MB", 27 * 10**6),
        ("27 mb", 27 * 10**6),
        ("27M", 27 * 10**6),
        ("4GiB", 4 * 2**30),
        ("4gib", 4 * 2**30),
        (" 1.5 GB ", 1_500_000_000),
        ("1.5GiB", 3 * 2**29),
        (".5GB", 500_000_000),
        ("1.GB", 10**9),
        ("1e3", 1000),
        ("1e3MB", 10**9),
        ("1.5e-3 GB", 1_500_000),
        ("2KiB", 2048),
        ("1b", 1),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes_mean_what_disks_and_memory_mean(size, expected):
    assert parse_bytes(size) == expected


@pytest.mark.parametrize(
    "size",
    [
        "", " ", "GB", "four GB", "4 giga", "4GBs", "1,5GB", "1.2.3", "1__0", "1_", "0x10", "nan", "inf",
        "4 G B", "٣GB", "1e", "4\n5",
    ],
)  # fmt: skip
def test_other_text_is_refused_with_a_hint(size):
    with pytest.raises(InputError, match="not a size") as caught:
        parse_bytes(size)
    assert "27MB" in caught.value.hint


@pytest.mark.parametrize("size", [-7, "-1", "-4GB", " -1 MB"])
def test_negative_sizes_are_refused(size):
    with pytest.raises(InputError, match="negative"):
        parse_bytes(size)


@pytest.mark.parametrize("size", ["1e400", "1e30GB", "99999999999999999999", 2**63, 10**400])
def test_absurd_sizes_are_refused(size):
    with pytest.raises(InputError, match="larger than any memory"):
        parse_bytes(size)


@pytest.mark.parametrize("size", [None, True, 1.5, b"4GB", [4]])
def test_other_types_are_refused(size):
    with pytest.raises(InputError, match=type(size).__name__):
        parse_bytes(size)


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers_are_exact_as_int_and_as_text(count):
    assert parse_bytes(count) == count
    assert parse_bytes(str(count)) == count


@given(st.integers(0, 2**62))
def test_what_is_formatted_can_be_parsed_again_to_three_figures(count):
    assert math.isclose(parse_bytes(format_bytes(count)), count, rel_tol=5.1e-3, abs_tol=0.5)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_400, "999 kB"),
        (999_600, "1.00 MB"),
        (27_000_000, "27.0 MB"),
        (2_200_000_000, "2.20 GB"),
        (-27_000_000, "-27.0 MB"),
        (10**18, "1000 PB"),
    ],
)
def test_bytes_are_shown_with_three_figures(count, text):
    assert format_bytes(count) == text


def test_rates_are_bytes_over_time():
    assert format_rate(2.31e9) == "2.31 GB/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (12e-6, "12 µs"),
        (0.085, "85 ms"),
        (0.9996, "1 s"),
        (2.31, "2.31 s"),
        (math.inf, "inf s"),
        (59.97, "1 min 00 s"),
        (250, "4 min 10 s"),
        (3 * 3600 + 5 * 60, "3 h 05 min"),
        (3599.7, "1 h 00 min"),
        (-2.5, "-2.5 s"),
    ],
)
def test_durations_are_shown_in_the_unit_a_reader_would_choose(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 pairs"), (1, "1 pair"), (1024, "1,024 pairs")])
def test_one_thing_is_no_things(count, text):
    assert format_count(count, "pair") == text


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (1.0, "1"),
        (0.125, "0.125"),
        (1.0000010001, "1.000001"),
        (0.99999, "0.99999"),
        (1.1234567, "1.123"),
        (-1.0, "-1"),
    ],
)
def test_a_factor_next_to_1_does_not_read_as_1(factor, text):
    assert format_factor(factor) == text
