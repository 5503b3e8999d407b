import json
from collections import Counter

import pytest
import torch

from bench.__main__ import main
from bench.planted import outcome as outcomes
from bench.planted.batch_first import BatchFirst
from bench.planted.case import CLEAN, draw_case
from bench.planted.dump import Style, dump_batch_first, dump_sequence_first, whole
from bench.planted.fault import Fault
from bench.planted.faults import FAULTS
from bench.planted.outcome import examine, judge_alone
from bench.planted.points import Point, in_order
from bench.planted.sample import DIAGNOSES, measure_case
from bench.planted.sequence_first import SequenceFirst
from bench.planted.shape import Shape
from bench.planted.table import summarise, text
from bench.planted.vocabulary import VOCABULARIES
from bench.planted.weights import draw_tokens, draw_weights, shard_weights
from outgrow.compare.judge import Judged, Judgement
from outgrow.compare.layout import Identity


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shape(**changes):
    sizes = {
        "layers": 2, "hidden": 40, "heads": 6, "kv_heads": 2, "head_dim": 8, "intermediate": 52, "vocab": 60,
        "batch": 3, "seq": 11, "norm": "rms", "activation": "silu", "eps": 1e-6, "rope_base": 100.0,
        "window": None, "has_bias": False, "is_tied": False, "embedding_std": 1.0, "padding": (0, 0, 0),
    }  # fmt: skip
    return Shape(**{**sizes, **changes})


def both(shape, tp, dtype=torch.float32, pairing="half"):
    generator = torch.Generator().manual_seed(3)
    weights = {name: weight.to(dtype) for name, weight in draw_weights(shape, generator).items()}
    tokens = draw_tokens(shape, generator)
    first = BatchFirst(shape, weights, dtype)(tokens)
    second = SequenceFirst(shape, shard_weights(weights, shape, tp), dtype, pairing=pairing).run(tokens)
    return first, second


SHAPES = {
    "rms_silu": {},
    "layer_gelu_bias": {"norm": "layer", "activation": "gelu", "has_bias": True},
    "window_padding": {"window": 4, "padding": (0, 2, 3)},
    "one_kv_head_tied": {"heads": 4, "kv_heads": 1, "batch": 1, "padding": (0,), "is_tied": True},
}


@pytest.mark.parametrize("tp", [1, 2, 4])
@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
def test_both_implementations_compute_the_same(changes, tp):
    small = shape(**changes)
    if small.heads % tp or (small.kv_heads % tp and tp % small.kv_heads):
        small = shape(**{**changes, "heads": 8, "kv_heads": 2})
    first, second = both(small, tp)
    assert {*first} <= {*second} == {*second}
    for point, tensor in first.items():
        torch.testing.assert_close(
            whole(point, second[point], small), tensor, rtol=1e-4, atol=1e-5, check_dtype=False
        )


def test_implementations_round_differently():
    small = shape()
    first, second = both(small, 1, torch.bfloat16)
    rounded = [p for p in first if not torch.equal(first[p], whole(p, second[p], small))]
    assert len(rounded) > len(first) / 2


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_is_found_by_its_twin_where_it_was_planted(kind):
    case = draw_case(0, kind, "fp32")
    assert case.truth is not None
    assert case.effect > 0
    expected, actual = case.canonical[case.truth]
    # Where it was planted the run itself differs, and what comes before it does not.
    apart = {
        point: float((x.double() - y.double()).norm() / x.double().norm().clamp(min=1e-30))
        for point, (x, y) in case.canonical.items()
    }
    before = [gap for point, gap in apart.items() if order(case)[point] < order(case)[case.truth]]
    assert max(before, default=0.0) < 1e-5
    if case.ratio > 100 and "reduced" not in case.detail:
        assert not apart[case.truth] < 20 * max([*before, 1e-7])
        assert not torch.equal(expected, actual)


def order(case):
    return {point: place for place, point in enumerate(in_order(case.shape.layers))}


@pytest.mark.parametrize("kind", CLEAN)
@pytest.mark.parametrize("dtype", ["fp32", "mixed"])
def test_clean_pairs_differ_by_rounding_alone(kind, dtype):
    case = draw_case(1, kind, dtype)
    assert case.truth is None
    most = 1e-4 if dtype == "fp32" else 0.3
    for point, (expected, actual) in case.canonical.items():
        if kind == "clean_pairs" and point.stage in ("query", "key", "query_final", "key_final"):
            continue
        assert float((expected.double() - actual.double()).norm()) <= most * float(expected.double().norm())


def test_wrong_weights_are_the_truth_where_parameters_are_dumped():
    cases = (draw_case(seed, "weight_transposed", "fp32") for seed in range(60))
    case = next(case for case in cases if "parameters" in case.variant.families)
    (name,) = case.wrong_parameters
    given, loaded = case.expected.parameters[name], case.actual.parameters[name]
    assert torch.equal(given.T, loaded)
    assert {*case.expected.parameters} == {*case.actual.parameters}
    same = [key for key in case.expected.parameters if key != name]
    assert all(torch.equal(case.expected.parameters[key], case.actual.parameters[key]) for key in same)


def test_truth_is_at_the_fault_only_where_the_fault_is_dumped():
    cases = [draw_case(seed, "rope_base", "fp32") for seed in range(8)]
    assert {case.is_at_fault for case in cases} == {True, False}
    for case in cases:
        assert case.is_at_fault == (case.truth.stage == "query_final")


def test_equal_arguments_draw_equal_cases():
    one, other = (draw_case(4, "rank_order", "bf16") for _ in range(2))
    assert (one.detail, one.truth, one.variant) == (other.detail, other.truth, other.variant)
    for left, right in zip(one.actual.ranks, other.actual.ranks, strict=True):
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert draw_case(5, "rank_order", "bf16").shape != one.shape


def test_draws_reach_every_variant():
    cases = [draw_case(seed, "clean", "fp32") for seed in range(60)]
    families = Counter(family for case in cases for family in case.variant.families)
    assert {*families} >= {"plain", "names", "shifted", "layout", "fused", "repeated", "tp2", "tp4"}
    assert {case.variant.transport for case in cases} >= {"mapping", "recording", "directory", "zip"}
    assert {case.shape.batch == 1 for case in cases} == {True, False}


def test_dump_shows_the_same_numbers_in_another_order():
    small = shape()
    first, second = both(small, 2)
    style = Style(vocabulary="stages", hidden="s b c", heads="(b s) h d", first_layer=3)
    dump = dump_sequence_first(second, small, style)
    point = Point(1, "query")
    assert dump.holds["4_query"] == (point,)
    joined = torch.cat([rank["4_query"] for rank in dump.ranks], dim=1)
    torch.testing.assert_close(joined, first[point].transpose(1, 2).flatten(0, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fused_order", ["parts", "groups"])
def test_fused_dump_holds_queries_keys_and_values(fused_order):
    small = shape()
    first, _ = both(small, 1)
    style = Style(vocabulary="gpt2", fused=("qkv",), fused_order=fused_order)
    dump = dump_batch_first(first, small, style)
    name = "transformer.h.1.attn.c_attn"
    assert [point.stage for point in dump.holds[name]] == ["query", "key", "value"]
    heads = dump.ranks[0][name].unflatten(-1, (-1, small.head_dim)).transpose(1, 2)
    keys = [6, 7] if fused_order == "parts" else [3, 8]
    assert torch.equal(heads[:, keys], first[Point(1, "key")])


def test_vocabularies_name_every_layer_once():
    for name, vocabulary in VOCABULARIES.items():
        points = [p for p in in_order(2) if vocabulary.name(p) is not None]
        assert len({vocabulary.name(p) for p in points}) == len(points), name


@pytest.mark.parametrize("transport", ["mapping", "recording", "directory", "zip", "tar.gz", "safetensors"])
def test_sources_arrive_and_are_removed(transport):
    case = draw_case(0, "clean", "fp32")
    with outcomes.Sources(case.actual, transport) as sources:
        assert len(sources.ranks) == len(case.actual.ranks)
        paths = [source for source in sources.ranks if hasattr(source, "exists")]
        assert all(path.exists() for path in paths)
    assert not any(path.exists() for path in paths)


class Said:
    """A comparison that says what it is told."""

    diagnoses = ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __init__(self, verdict, name=None, case=None):
        self.findings = []
        judged = ()
        first = None
        if name is not None:
            first, judged = 0, (Judged(status="differs", reason="so"),)
            self.findings = [
                type(
                    "Finding", (), {"pair": pair(case, name), "layout": type("L", (), {"layout": Identity()})}
                )
            ]
        self.judgement = Judgement(
            verdict=verdict, first_divergence=first, healed_at=None, judged=judged, reason="so"
        )


def pair(case, point):
    (expected,) = [name for name, points in case.expected.holds.items() if points == (point,)]
    (actual,) = [name for name, points in case.actual.holds.items() if points == (point,)]
    record = {"rank": 0, "kind": "tensor"}
    sides = {
        "expected": type("Record", (), {"name": expected, **record}),
        "actual": (type("Record", (), {"name": actual, **record}),),
    }
    return type("Pair", (), {**sides, "fused": None, "expected_name": expected})


def words(monkeypatch, case, **said):
    monkeypatch.setattr(outcomes, "compare", lambda **_: Said(case=case, **said))
    return examine(case).word


def test_outcomes_are_held_against_the_truth(monkeypatch):
    case = next(
        c
        for c in (draw_case(seed, "mask_missing", "fp32") for seed in range(50))
        if c.truth.layer not in (0, None)
        and c.truth.stage == "post_attn"
        and c.variant.expected.vocabulary == c.variant.actual.vocabulary == "stages"
    )
    layer = case.truth.layer
    assert words(monkeypatch, case, verdict="match") == "missed"
    assert words(monkeypatch, case, verdict="insufficient") == "insufficient"
    assert words(monkeypatch, case, verdict="differ", name=case.truth) == "exact"
    assert words(monkeypatch, case, verdict="differ", name=Point(layer, "pre_mlp")) == "near"
    assert words(monkeypatch, case, verdict="differ", name=Point(layer - 1, "post_attn")) == "early"
    assert words(monkeypatch, case, verdict="differ", name=Point(None, "final_norm")) == "late"
    clean = draw_case(0, "clean", "fp32")
    assert words(monkeypatch, clean, verdict="match") == "clean"
    assert words(monkeypatch, clean, verdict="insufficient") == "insufficient"
    assert words(monkeypatch, clean, verdict="differ", name=Point(None, "logits")) == "false_alarm"


def test_crash_is_an_outcome(monkeypatch):
    def crash(**_):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(outcomes, "compare", crash)
    found = examine(draw_case(0, "clean", "fp32"))
    assert found.word == "crash"
    assert "no such thing" in found.said


def test_judge_finds_a_fault_and_leaves_a_clean_pair_alone():
    assert judge_alone(draw_case(0, "mask_missing", "fp32")).word == "exact"
    assert judge_alone(draw_case(0, "clean", "bf16")).word == "clean"


def test_faults_below_rounding_are_counted_apart():
    def sample(word, ratio, **more):
        return {
            **measure_case((0, "mask_missing", "fp32", True)),
            "word": word,
            "effect_over_noise": ratio,
            "is_below_rounding": ratio is not None and ratio < 1,
            **more,
        }

    samples = [sample("exact", 30.0), sample("missed", 0.5), sample("exact", None), sample("near", 3.0)]
    rows = summarise(samples)
    total = next(row for row in rows if row["what"] == "faults")
    assert total["cases"] == 4
    assert total["exact_rate"] == 0.5
    assert total["below_rounding"] == 1
    assert total["exact_rate_above_rounding"] == pytest.approx(2 / 3)
    assert total["words_below_rounding"] == {"missed": 1}
    bins = {row["name"]: row["cases"] for row in rows if row["what"] == "effect_over_noise"}
    assert bins == {"0..1": 1, "1..5": 1, "20..inf": 2}
    assert "NEAR draw_case(0, 'mask_missing', 'fp32')" in text(rows, samples)


def test_every_diagnosis_belongs_to_a_fault():
    assert set(DIAGNOSES) <= set(FAULTS)
    assert all(len(kind) > 3 for kind in FAULTS)
    assert len(FAULTS) >= 24


def test_fault_without_a_line_changes_nothing():
    fault = Fault(first=Point(0, "query"), detail="")
    ranks = [torch.ones(2)]
    assert fault.touch(Point(0, "query"), ranks) is ranks


def test_result_says_which_seeds_it_saw(tmp_path):
    arguments = ["--judge-alone", "--kinds", "scale_missing", "--dtypes", "fp32", "--results", str(tmp_path)]
    assert main(["planted", "--seeds", "3:5", "--text", str(tmp_path / "page.txt"), *arguments]) == 0
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert record["seeds"] == [3, 5]
    assert not record["are_held_out"]
    assert [sample["seed"] for sample in record["samples"]] == [3, 4]
    assert "scale_missing" in (tmp_path / "page.txt").read_text()
    assert main(["plot", str(path)]) == 0
    assert "<svg" in path.with_suffix(".svg").read_text()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path):
    arguments = ["--judge-alone", "--kinds", "nan_born", "--dtypes", "fp32", "--seeds", "0:4"]
    found = []
    for jobs in ("1", "2"):
        assert main(["planted", *arguments, "--jobs", jobs, "--results", str(tmp_path / jobs)]) == 0
        (path,) = (tmp_path / jobs).glob("*.json")
        found.append(json.loads(path.read_text())["samples"])
    assert found[0] == found[1]
