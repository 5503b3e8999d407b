"""Real models against real models: what is paired, and that nothing is paired wrongly."""

import re
from pathlib import Path

import pytest

from outgrow.compare.names import FAMILIES
from outgrow.compare.names.families import expand
from outgrow.compare.names.fused import FUSED_STAGES
from outgrow.compare.names.match import ALIASES
from outgrow.compare.order import stage_place
from tests.compare.names import grid, real_names
from tests.compare.names.truth import families, modules_of, parameters_of

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "compare-names.md"
SOME = ("llama", "gemma2", "gpt2", "bert", "t5", "vllm", "megatron", "plain", "qwen_moe_old")


def summed(tallies):
    paired, possible = (sum(getattr(tally, what) for tally in tallies) for what in ("paired", "possible"))
    return paired, possible


@pytest.mark.parametrize("are_modules", [False, True], ids=["parameters", "outputs"])
def test_no_family_is_paired_wrongly_with_another(are_modules):
    found = grid.run(are_modules=are_modules, against=SOME)
    assert {key: tally.wrong for key, tally in found.items() if tally.wrong} == {}
    paired, possible = summed(found.values())
    assert paired / possible > 0.985


@pytest.mark.parametrize("are_modules", [False, True], ids=["parameters", "outputs"])
@pytest.mark.parametrize("family", families())
def test_a_family_is_paired_completely_with_itself(family, are_modules):
    if family == "gguf" and are_modules:
        pytest.skip("a file of llama.cpp has no modules")
    tally = grid.run_one(family, family, are_modules=are_modules)
    assert tally.paired == tally.possible > 0
    assert tally.wrong == tally.said == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("llama", "llama_original"),
        ("llama", "gguf"),
        ("llama", "vllm"),
        ("llama", "megatron"),
        ("llama", "plain"),
        ("llama", "compiled"),
        ("qwen2", "phi3"),
        ("gpt2", "gpt_neox"),
        ("gpt2", "megatron_gpt"),
        ("gpt2", "mpt"),
        ("bert", "distilbert"),
        ("mixtral_old", "qwen_moe_old"),
        ("vit", "gptj"),
    ],
)
def test_families_that_hold_the_same_are_paired_completely(one, other):
    for first, second in ((one, other), (other, one)):
        tally = grid.run_one(first, second, are_modules=False)
        assert tally.paired == tally.possible > 0
        assert tally.wrong == tally.said == []


@pytest.mark.slow
def test_the_whole_grid_is_as_documented():
    tallies = [tally for are_modules in (False, True) for tally in grid.run(are_modules=are_modules).values()]
    paired, possible = summed(tallies)
    wrong, said = (sum(len(getattr(tally, what)) for tally in tallies) for what in ("wrong", "said"))
    told = re.search(
        r"\*\*([\d,]+) conversions\*\*.*?([\d,]+) of ([\d,]+) parts.*?\*\*(\d+) wrong\*\*.*?([\d,]+) pairs",
        PAGE.read_text(),
        re.DOTALL,
    )
    figures = tuple(int(figure.replace(",", "")) for figure in told.groups())
    assert figures == (len(tallies), paired, possible, wrong, said)


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("name", real_names.CONFIGS)
def test_the_names_are_those_of_transformers(name):
    assert real_names.build(name) == real_names.read()[name]


@pytest.mark.parametrize("family", families())
def test_the_truth_knows_most_of_each_model(family):
    assert len(parameters_of(family)) > 10
    assert len(modules_of(family)) > 10


@pytest.mark.parametrize("name", FAMILIES)
def test_every_stage_of_a_family_has_its_place(name):
    assert [stage for stage in FAMILIES[name].stages if stage_place(stage, "outputs") is None] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_family_is_known_by_is_among_its_spellings(name):
    family = FAMILIES[name]
    spelled = {
        spelling.rpartition(":")[2]
        for pattern in family.stages.values()
        for one in pattern.split()
        for spelling in expand(one)
    }
    real = " ".join(name for model in real_names.read().values() for name in model["modules"])
    unknown = set(expand(family.known_by or "")) - {""} - spelled
    assert [spelling for spelling in unknown if spelling not in real] == []


def rows():
    text = PAGE.read_text().partition("## The families")[2]
    return dict(re.findall(r"^\| `([\w-]+)` \| (.+?) \|$", text, re.MULTILINE))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_documented_as_it_is(name):
    told = " ".join(f"`{stage}`: `{spelling}`" for stage, spelling in FAMILIES[name].stages.items())
    assert rows()[name] == told


def test_nothing_else_is_documented():
    assert set(rows()) == set(FAMILIES)


@pytest.mark.parametrize("stage", FUSED_STAGES)
def test_a_fused_stage_and_its_parts_have_places(stage):
    assert all(stage_place(part, "outputs") for part in (stage, *FUSED_STAGES[stage]))


@pytest.mark.parametrize("stage", ALIASES)
def test_an_alias_stands_for_stages_that_have_places(stage):
    assert all(stage_place(meant, what) for meant, what in [(stage, "outputs"), *ALIASES[stage]])


def test_expand_gives_all_choices():
    assert list(expand("{a,b}.{c,}x")) == ["a.cx", "a.x", "b.cx", "b.x"]
