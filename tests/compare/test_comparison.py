"""A comparison as a whole: what counts as enough, and that nothing wrong comes out as a match."""

import gc
import math
import tarfile
import threading
from pathlib import Path

import pytest
import torch

import outgrow.errors
import outgrow.events
from outgrow.compare import Rules, compare
from outgrow.compare.report import as_html, as_text, sentence


def tensors(count, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {f"{layer}_query": torch.randn(8, 8, generator=generator) for layer in range(count)}


@pytest.fixture
def folder(tmp_path):
    def write(name, content):
        place = tmp_path / name
        place.mkdir()
        for key, value in content.items():
            path = place / f"{key}.pth"
            if isinstance(value, bytes):
                path.write_bytes(value)
            else:
                torch.save(value, path)
        return place

    return write


def test_what_was_refused_counts_where_it_could_have_answered(folder):
    expected = tensors(10)
    broken = {
        key: b"cut short" if index >= 4 else value for index, (key, value) in enumerate(expected.items())
    }
    with compare(expected=folder("e", expected), actual=folder("a", broken)) as comparison:
        assert comparison.verdict == "insufficient"
    with compare(expected=folder("e2", broken), actual=folder("a2", expected)) as comparison:
        assert comparison.verdict == "insufficient"


def test_what_was_refused_and_is_missed_by_nobody_does_not_count(folder):
    content = tensors(2)
    notes = {f"note{index}": b"text" for index in range(9)}
    with compare(expected=folder("e", content), actual=folder("a", content | notes)) as comparison:
        assert comparison.verdict == "match"


def test_parts_of_a_fused_tensor_count_on_both_sides():
    """Three pairs are of one tensor, and five others have no counterpart."""
    whole = torch.randn(96, 32, generator=torch.Generator().manual_seed(0))
    expected = dict(zip(("query", "key", "value"), whole.split(32), strict=True))
    expected = {f"0_{name}": part for name, part in expected.items()}
    others = {f"only here {index}": torch.ones(7 + index) for index in range(5)}
    more = {f"zz{index}": torch.ones(2, 50 + index) for index in range(5)}
    actual = {"0_qkv": whole}
    with compare(expected=expected, actual=actual) as comparison:
        assert (comparison.verdict, len(comparison.findings)) == ("match", 3)
    with compare(expected=expected | others, actual=actual | more) as comparison:
        assert (comparison.verdict, len(comparison.findings)) == ("insufficient", 3)


def test_the_sentence_says_what_it_says_nothing_about(folder):
    content = tensors(4)
    with compare(
        expected=folder("e", content | {"3_query": b"cut short"}),
        actual=folder("a", content | {"stray": torch.ones(3)}),
    ) as comparison:
        assert comparison.verdict == "match"
        assert sentence(comparison) == (
            "They match: 3 pairs, all numbers equal; not compared: 2 only in the actual run, 1 refused."
        )
        assert as_text(comparison).count("Hint: the file is cut short") == 1
        assert as_html(comparison).count("Hint: the file is cut short") == 1


def test_why_no_layout_was_found_is_the_reason():
    expected, actual = tensors(4), tensors(4)
    actual["2_query"] = actual["2_query"][:7]
    with compare(expected=expected, actual=actual, name_map={"*": "*"}) as comparison:
        assert comparison.verdict == "differ"
        assert comparison.first_divergence.pair.expected_name == "2_query"
        assert comparison.first_divergence.judged.reason == comparison.first_divergence.layout.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("options", [{}, {"is_exact": True}], ids=["judged", "exact"])
def test_no_bad_number_on_either_side_matches(bad, options):
    for side in ("expected", "actual"):
        runs = {"expected": tensors(5), "actual": tensors(5)}
        runs[side]["3_query"][2, 2] = bad
        with compare(**runs, **options) as comparison:
            assert comparison.verdict == "differ"
            assert comparison.first_divergence.pair.expected_name == "3_query"


def held():
    """Descriptors, threads and pages of files that this process holds."""
    gc.collect()
    pages = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/pytest-" in line]
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), len(pages)


@pytest.fixture
def packed(folder, tmp_path):
    """A folder, and the same in an archive that has to be unpacked."""
    place = folder("plain", tensors(6))
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(place, "run")
    return place, tmp_path / "packed.tar.gz"


def interrupt(progress):
    if progress.task == "comparing" and progress.done:
        raise KeyboardInterrupt


@pytest.mark.parametrize("way", ["answered", "unused", "wrong map", "interrupted"])
def test_fifty_rounds_leave_nothing(packed, way):
    place, archive = packed

    def compare_once():
        if way == "wrong map":
            with pytest.raises(outgrow.errors.InputError, match="nothing that"):
                compare(expected=place, actual=archive, name_map={"nobody": "nothing"})
            return
        listener = interrupt if way == "interrupted" else outgrow.events.ignore
        with compare(expected=place, actual=archive, listener=listener) as comparison:
            if way == "answered":
                assert comparison.verdict == "match"
                assert comparison.diagnoses == ()
            if way == "interrupted":
                with pytest.raises(KeyboardInterrupt):
                    _ = comparison.verdict

    for number in range(52):
        compare_once()
        if number == 1:
            before = held()
    assert held() == before


def test_what_both_sides_refuse_is_named_once(tmp_path):
    for side in ("one", "other"):
        (tmp_path / side).mkdir()
        torch.save(torch.ones(4), tmp_path / side / "0_query.pth")
        (tmp_path / side / "notes.txt").write_text("x")
    with compare(expected=tmp_path / "one", actual=tmp_path / "other") as comparison:
        assert [refusal.entry for refusal in comparison.refused] == ["notes.txt"]


def test_a_rule_that_fits_nothing_is_refused():
    tensors = {"0_query": torch.ones(4), "1_query": torch.ones(4)}
    with pytest.raises(outgrow.errors.InputError, match="no tensor fits the rule for '0_qeury'"):
        compare(
            expected=tensors, actual=tensors, rules=Rules(patterns=(("*", 1.0, 0.0), ("0_qeury", 1.0, 0.0)))
        )
