"""What the pages for users of the four predecessors promise, beyond that the programs on the right run.

Left programs need the predecessors and are not run; where a page says that only their imports change, that
is checked letter by letter.
"""

import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

from outgrow.shard.environment import VARIABLES
from tests.test_docs import blocks_of

DOCS = Path(__file__).parent.parent / "docs"
WEB = DOCS.parent / "web" / "src"
PAGES = {
    "migrate-from-tensorstream": {"tensorstream": "outgrow.stream"},
    "migrate-from-gt": {"gt": "outgrow.shard", "nn": "outgrow.shard.nn"},
    "migrate-from-neuro-exapt": {"neuroexapt": "outgrow.evolve"},
    "migrate-from-tensor-debugger": {},
}
IMPORTS = (
    (r"^import (tensorstream)$", r"import outgrow.stream as \1"),
    (r"^import (gt)$", r"import outgrow.shard as \1"),
    (r"^import (neuroexapt)$", r"import outgrow.evolve as \1"),
    (r"^from tensorstream\b", "from outgrow.stream"),
    (r"^from gt(\.client)? import", "from outgrow.shard import"),
    (r"^from neuroexapt(\.core(\.dynarch)?)? import", "from outgrow.evolve import"),
)
OPERATORS = {"[": "__getitem__", " ** ": "__pow__", " -= ": "__isub__", " > ": "__gt__", " == ": "__eq__"}

THEIRS = {
    "migrate-from-tensorstream": (
        "offload Config storage_path vram_budget_gb backend prefetch_strategy compression_enabled "
        "compression_level num_io_threads memory_pressure_mode debug_mode AUTO GPUDIRECT CUDA MMAP NONE "
        "NEXT_LAYER ADAPTIVE CONSERVATIVE BALANCED AGGRESSIVE get_model_statistics estimate_model_memory "
        "create_default_config cleanup_tensorstream parameters named_parameters modules named_modules "
        "children named_children buffers named_buffers to cuda cpu train eval state_dict load_state_dict"
    ),
    "migrate-from-gt": (
        "connect gpu_workers tensor from_numpy randn zeros ones cat no_grad float32 float64 int32 int64 "
        "bool load_config get_config get_signal_config register_config SignalConfig ShardConfig exp log "
        "sqrt relu sigmoid tanh sum mean max reshape view unsqueeze squeeze transpose permute split chunk T "
        "item zero_ backward requires_grad_ grad data Module Linear mse_loss binary_cross_entropy "
        "cross_entropy_loss SGD context signal enter exit get_tape print_tape get_worker_stats "
        "print_worker_stats GT_AUTO_SHARD GT_CONFIG GT_BACKEND GT_INSTRUCTION_LOG GT_VERBOSE "
        "GT_DEBUG_CLIENT GT_DEBUG_DISPATCHER GT_DEBUG_WORKER GT_DEBUG_COMPILE GT_AUTO_COMPILE "
        "GT_HOTPATH_WINDOW GT_HOTPATH_THRESHOLD GT_HOTPATH_MIN_SEQ server worker top trace visualize"
    ),
    "migrate-from-neuro-exapt": (
        "DynamicArchitecture get_state select_action apply_tentative evaluate get_stats _save_model_state "
        "_restore_model_state _update_policy AttentionPolicyNetwork Experience ExperienceBuffer "
        "ExpandWithMI DeviceAwareAttentionOperator StructuralOperator StructuralEvolution "
        "InformationBottleneck NeuroExapt wrap_model analyze_model evolve_structure prune_layers "
        "expand_layers Trainer fit load_checkpoint visualize_training visualize_evolution target_net "
        "policy_lr value_lr buffer_size epsilon_start gamma clip_ratio"
    ),
    "migrate-from-tensor-debugger": (
        "post_ln_pre_attn query query_final key key_final value value_final post_attn scaling sliding "
        "post_attn_pre_resid pre_mlp post_mlp upload get_tensor_values get_tensor_values_manual "
        "get_tensor_shapes start_chunked_upload reorder_matches abs_diff_max cosine_sim mse abs_diff_mean "
        "rel_diff_mean"
    ),
}
"""What each predecessor's programs write; all of it has to be spoken of."""


def text_of(page: str) -> str:
    return (DOCS / "how-to" / f"{page}.md").read_text()


def rows_of(page: str) -> list[tuple[str, str, str]]:
    """Of the tables of names: what theirs is, what ours is, what differs."""
    names = re.search(r"^## Names\n(.*?)^## ", text_of(page), re.MULTILINE | re.DOTALL)[1]
    cells = [re.split(r" *\| *", line.strip("| \n")) for line in names.splitlines() if line.startswith("|")]
    # An empty last cell is stripped with the bars around it.
    return [(row[0], row[1], row[2] if len(row) > 2 else "") for row in cells if row[0].strip("-")]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


CLAIMED = [
    (page, span)
    for page in PAGES
    if PAGES[page]
    for theirs, ours, _ in rows_of(page)
    if ours.startswith("the same")
    for span in spans(theirs)
]


@pytest.fixture(scope="module")
def instances(tmp_path_factory):
    """What stands for objects in the tables."""
    from outgrow import evolve, stream
    from outgrow.shard.interface.reference_tensor import ReferenceTensor

    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 16))
    stream.offload(model, stream.Config(storage_path=tmp_path_factory.mktemp("weights"), budget="8MiB"))
    yield {
        "x": ReferenceTensor,
        "model": model,
        "ne": evolve.NeuroExapt,
        "trainer": evolve.Trainer,
        "dynarch": evolve.DynamicArchitecture,
    }
    stream.restore(model)


@pytest.mark.parametrize(("page", "span"), CLAIMED, ids=[span for _, span in CLAIMED])
def test_what_is_called_the_same_is_there_and_takes_the_same(page, span, instances):
    if span.startswith("GT_"):
        assert VARIABLES[span.removesuffix("=1")].is_used
        return
    for sign, method in OPERATORS.items():
        if re.match(rf"x{re.escape(sign)}", span):
            assert callable(getattr(instances["x"], method))
            return
    path, _, arguments = re.fullmatch(r"([\w.]+)(\((.*)\))?", span).groups()
    root, *names = path.split(".")
    known = PAGES[page]
    found = importlib.import_module(known[root]) if root in known else instances[root]
    for name in names:
        found = getattr(found, name)
    if arguments is None:
        return
    assert callable(found)
    try:
        parameters = inspect.signature(found).parameters
    except ValueError:  # torch's own, written in C
        return
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    given = [argument.strip(" *") for argument in arguments.split(",") if argument.strip()]
    ours = [name for name in parameters if name != "self"]
    # In the same places, too: theirs may be called without keywords.
    assert [name for name in ours if name in given] == given
    assert ours[: len(given)] == given or any(argument.startswith("*") for argument in arguments.split(", "))


def test_what_has_nothing_to_act_on_is_said_so():
    silent = {
        span
        for theirs, ours, _ in rows_of("migrate-from-gt")
        if "nothing to act on" in ours
        for span in spans(theirs)
    }
    assert silent == {name for name, variable in VARIABLES.items() if not variable.is_used}


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_theirs_is_spoken_of(page):
    said = " ".join(span for theirs, _, differs in rows_of(page) for span in spans(theirs + differs))
    assert [name for name in THEIRS[page].split() if not re.search(rf"(?<!\w){name}(?!\w)", said)] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_have_one_shape(page):
    text = text_of(page)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "Names"
    assert headings[-2:] == ["What is refused, and why", "What is not there"]
    assert re.match(r"# Migrate from .+\n\nFor ", text)
    pairs = re.findall(r'^<div class="side-by-side">\n(.*?)^</div>\n</div>$', text, re.MULTILINE | re.DOTALL)
    assert len(pairs) >= 2
    for pair in pairs:
        # Blank lines around: else what is within would be HTML and not Markdown.
        sides = re.fullmatch(
            r"<div>\n\n\*\*(.+?)\*\*\n\n(.*)\n\n</div>\n<div>\n\n\*\*outgrow\*\*\n\n(.*)\n\n", pair, re.DOTALL
        )
        assert sides
        assert all("```" in side for side in sides.groups()[1:])
    assert text.count("<div") == text.count("</div>") == 3 * len(pairs)


@pytest.mark.parametrize("page", PAGES)
def test_where_only_imports_change_nothing_else_does(page):
    marked = re.findall(
        r"<!-- not run: [^>]*imports changed -->\n```python\n(.*?)\n```.*?```python\n(.*?)\n```",
        text_of(page),
        re.DOTALL,
    )
    assert bool(marked) == bool(PAGES[page])
    for left, right in marked:
        for theirs, ours in IMPORTS:
            left = re.sub(theirs, ours, left, flags=re.MULTILINE)
        assert left == right


@pytest.mark.parametrize("page", PAGES)
def test_every_program_on_the_right_runs_and_its_result_is_looked_at(page):
    text = text_of(page)
    ours = re.findall(r"^\*\*outgrow\*\*\n(.*?)^</div>\n</div>\n\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert len(ours) >= 2
    for program_of_ours, behind in ours:
        assert [block.is_run for block in blocks_of(program_of_ours)] == [True]
        assert behind.startswith("<!-- setup:")
        assert "assert " in behind


DEBUGGER = "migrate-from-tensor-debugger"
LABELS = sorted(
    {
        label
        for _, ours, differs in rows_of(DEBUGGER)
        for label in re.findall(r"\*\*(.+?)\*\*", ours + differs)
    }
)


@pytest.mark.parametrize("label", LABELS)
def test_what_the_page_shows_is_called_so(label):
    sources = [file.read_text() for file in sorted(WEB.rglob("*.tsx")) if ".test." not in file.name]
    assert any(re.search(rf"[>\"\s⇄]{re.escape(label)}[<\"\s{{]", source) for source in sources)


def test_the_stages_of_the_debugger_are_known():
    from outgrow.compare.order import stage_place

    stages = next(spans(theirs) for theirs, _, _ in rows_of(DEBUGGER) if "`post_ln_pre_attn`" in theirs)
    assert len(stages) == 13
    places = {stage: stage_place(stage, "outputs") for stage in stages}
    assert None not in places.values()
    assert places["scaling"] < places["sliding"] < places["post_attn"]
    assert places["value"] < places["query_final"]


def test_figures_of_the_debugger_have_the_names_that_are_shown():
    from outgrow.compare.measures import measure

    measured = measure(torch.ones(2), torch.zeros(2))
    rows = {tuple(spans(theirs)): ours for theirs, ours, _ in rows_of(DEBUGGER)}
    for theirs in (("abs_diff_max",), ("cosine_sim",), ("mse",), ("mean", "std", "min", "max")):
        for name in spans(rows[theirs]):
            found = measured
            for part in name.split("."):
                found = getattr(found, part)
