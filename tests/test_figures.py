"""Every figure of the page of figures is what its file says."""

import re
from collections.abc import Callable

import pytest

from bench.cases import CASES
from tests.measured import (
    PREFIX,
    ROOT,
    alarms,
    curves,
    dumps,
    entry,
    exact_changes,
    faster,
    floor,
    known,
    layouts,
    lead,
    of,
    of_ddp,
    ops,
    original,
    percent,
    planted,
    ready,
    regret,
    result,
    seconds_lost,
    short_exponent,
    steps_of_torch,
    surgery,
    sweep,
    web,
)

FIGURES = (ROOT / "docs" / "reference" / "figures.md").read_text()

# How a row of the page begins, and what its value has to be.
ROWS: dict[str, Callable[[], str]] = {
    "time of a token / floor": lambda: ", ".join(f"{floor(one):.2f}" for one in (25, 50, 75)),
    "the same with 10 % (the disk": lambda: f"{floor(10):.2f}, {floor(90):.2f}",
    "where everything fits": lambda: f"{floor(110, 'resident_ratio'):.2f}",
    "times faster than transformers'": lambda: (
        f"{faster('transformers'):.1f}, {faster('mmap'):.1f}, {faster('accelerate'):.1f}, "
        f"{faster('airllm'):.0f}"
    ),
    "the same with 10 % in memory, against": lambda: (
        f"{faster('transformers', 10):.1f}, {faster('mmap', 10):.1f}"
    ),
    "a model of 13.5 GB": lambda: {0: "no OOM kill"}[result("five_times")["summary"][0]["oom_kills"]],
    "a random 7B shape": lambda: (
        f"{entry('run7b', label='outgrow 10%')['token_seconds']['median']:.1f}; "
        f"{entry('run7b', label='outgrow 10%')['floor_ratio']['median']:.2f}"
    ),
    "time of a token / with all weights": lambda: ", ".join(
        f"{floor(one, 'resident_ratio'):.1f}" for one in (10, 25, 50, 75, 90)
    ),
    "causal language models": lambda: re.search(
        r"\*\*(\d+ of \d+) are equal", (ROOT / "docs/reference/architectures.md").read_text()
    )[1],
    "entries of torch's database": lambda: (
        f"{percent(ops()['equal_forward_and_backward'], 1)} of {ops()['entries']}; "
        + {frozenset({"equal", "refused"}): "none (the rest refused)"}[
            frozenset(ops()["forward_and_backward"])
        ]
    ),
    "Pixel Transformer, plan found alone": lambda: (
        f"{of_ddp('pixel', 'two workers, capped'):.2f}; "
        f"{of_ddp('pixel', 'two workers, capped, compiled'):.2f}"
    ),
    "CNN with a large head: the same": lambda: "; ".join(
        f"{of_ddp(model, 'two workers, capped' + compiled):.2f}"
        for model in ("cnn", "vocabulary")
        for compiled in ("", ", compiled")
    ),
    "data parallel plan / DDP": lambda: ", ".join(
        f"{of_ddp(model, 'data parallel'):.2f}" for model in ("cnn", "vocabulary", "pixel")
    ),
    "plain torch in one process / DDP": lambda: (
        f"{of_ddp('pixel', 'torch'):.2f}; {of_ddp('cnn', 'torch'):.2f}"
    ),
    "one worker, compiled / plain torch": lambda: f"{steps_of_torch('pixel')}; {steps_of_torch('cnn')}",
    "losses of 50 steps": lambda: (
        f"{max(one['float64_distance'] for one in result('shard_losses')['summary']):.1e}"
    ),
    "200 workers killed or stopped": lambda: (
        {True: "all"}[
            entry("shard_faults", faults="all")["runs"]
            == entry("shard_faults", faults="all")["runs_with_the_same_bits"]
        ]
        + "; {median:.2f} s, {max:.1f} s".format(**entry("shard_faults", faults="all")["recovery_seconds"])
    ),
    "planning: up to 1,000 ops": lambda: (
        f"{result('shard_planning')['summary']['slowest_below_1000_steps']:.2f} s, "
        f"{result('shard_planning_24_layers')['summary']['slowest_plan_seconds']:.1f} s; "
        f"{percent(result('shard_planning')['summary']['worst_over_peer'] - 1, 1)}"
    ),
    "the predecessor's script": lambda: (
        f"{original('pixel, one worker')['ratio']:.0f} times; "
        + {True: "no step of theirs within "}[
            original("pixel, two workers, automatic sharding")["original_is_at_least"]
        ]
        + f"{original('pixel, two workers, automatic sharding')['original_step_seconds']:.0f} s"
    ),
    "two workers ready": lambda: f"{ready(2):.1f} s, {ready(8):.1f} s",
    "700 random sequences": lambda: f"{known()['wrong']} of {exact_changes():,}; {known()['not_back']}",
    "farthest that one moved": lambda: "; ".join(
        short_exponent(known()["farthest_exact"][dtype]) for dtype in ("float64", "float32")
    ),
    "the default way of growing": lambda: "{mean:.3f}, p = {p:.4f}".format(
        **curves("gate A")[0]["comparison"]
    ).replace("0.", "."),
    "one growing run against": lambda: lead(curves("gate B")[0]["comparison"]),
    "width and budget unknown": lambda: (
        ", ".join(f"{one:+.2f}" for one in sweep())
        + f"; {percent(curves('gate C, cost')[0]['share_of_macs'])}"
    ),
    "at equal seconds": lambda: f"{min(seconds_lost()):.1f} to {max(seconds_lost()):.1f} points worse",
    "regret of greedy": lambda: (
        f"{regret('greedy, whole forks')}, {regret('greedy, quarter forks')}; {regret('learned 0')}"
    ),
    "part of a growing run": lambda: percent(result("evolve_cost")["summary"]["growing_run"]["share"], 1),
    "widening SmolLM2-135M": lambda: (
        f"{surgery('mlp'):.1f} s, {surgery('heads'):.1f} s; {surgery('residual'):.1f} s"
    ),
    "a GPT over characters": lambda: "{} [{}, {}]".format(
        percent(entry("evolve_language", what="saved, all seeds")["mean"]),
        *(round(entry("evolve_language", what="saved, all seeds")[end] * 100) for end in ("low", "high")),
    ),
    "first tensor named exactly": lambda: (
        f"{planted('exact_rate_above_rounding')}; {planted('exact_rate')} of "
        f"{entry('planted', what='faults', name='all')['cases']:,}"
    ),
    "clean pairs called different": lambda: (
        f"{of(alarms('clean', 'clean_partial'))}; {of(alarms('clean_pairs', 'clean_ranks'))}"
    ),
    "two dumps of 2.0 GB": lambda: (
        f"{dumps('compare_seconds', 'warm'):.2f}; {dumps('mapped_ratio', 'warm'):.2f}"
    ),
    "the same cold": lambda: f"{dumps('disk_ratio', 'cold'):.2f}",
    "layouts found": lambda: (
        f"{of((layouts('without fault')['right'], layouts('without fault')['searches']))}; "
        f"{of((layouts('with fault')['wrong'], layouts('with fault')['searches']))}"
    ),
    "time to find a layout": lambda: (
        f"{layouts('all')['seconds']['p50'] * 1000:.0f} ms; {layouts('all')['seconds']['p95'] * 1000:.0f} ms"
    ),
    "a training step with all outputs": lambda: "; ".join(
        f"{entry('record_overhead', shape=shape)['ratio']['median']:.2f}" for shape in ("gpt2", "baby")
    ),
    "in the browser, two dumps": lambda: "; ".join(
        f"{web(question):.2f}"
        for question in ("button to verdict, warm", "process to verdict, warm", "process to verdict, cold")
    ),
    "the same: a slice of a heat map": lambda: (
        f"{web('slice to the page') * 1000:.1f} ms; {web('slider to last picture') * 1000:.1f} ms; "
        + "{:.0f} MB".format(web("server's own memory") / 1e6)
    ),
    "two archives of 190 MB": lambda: (
        f"{web('two .zip dropped'):.1f} s, {web('two .tar.gz dropped'):.1f} s; "
        f"{percent(web('frames over 33 ms, fast scrolling'), 1)}"
    ),
    "importing `stream`": lambda: ", ".join(
        f"{entry('import_times', what=f'outgrow.{room}')['per_torch']['median']:.2f}"
        for room in ("stream", "shard", "evolve", "compare.comparison")
    ),
    "`outgrow --help` /": lambda: "{:.1f}".format(
        entry("import_times", what="outgrow --help")["cpu_seconds"]["median"]
        / entry("import_times", what="python -c pass")["cpu_seconds"]["median"]
    ),
    "promises kept by": lambda: of(
        (
            sum(row["is_kept"] for row in result("whole")["summary"]["rooms"]),
            len(result("whole")["summary"]["rooms"]),
        )
    ),
}


def rows_of_figures() -> list[list[str]]:
    above = FIGURES.partition("\n## Files without a row\n")[0]
    rows = [line.strip("|").split(" | ") for line in above.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if row[0].strip() != "figure"]


def test_every_row_of_the_figures_is_checked_and_every_check_has_a_row():
    starts = [[start for start in ROWS if row[0].startswith(start)] for row in rows_of_figures()]
    assert all(len(one) == 1 for one in starts), starts
    assert [one[0] for one in starts] == list(ROWS)


@pytest.mark.parametrize("start", ROWS)
def test_the_figure_is_what_its_file_says(start):
    (row,) = (row for row in rows_of_figures() if row[0].startswith(start))
    assert row[1] == ROWS[start]()


@pytest.mark.parametrize("row", rows_of_figures(), ids=lambda row: row[0][:30])
def test_the_files_of_a_figure_are_there(row):
    names = re.findall(r"`(\w[\w-]*)`", row[2])
    assert names or "architectures.md" in row[2]
    for name in names:
        assert not result(name)["toy"]


def test_every_result_file_is_on_the_page():
    """In a row with a figure, or in the table of files without one."""
    names = [re.findall(r"`(\w[\w-]*)`", cell) for row in rows_of_figures() for cell in row[2:]]
    others = re.findall(r"`([\w-]+)`", FIGURES.partition("\n## Files without a row\n")[2])
    quoted = {name for cell in names for name in cell}
    assert quoted.isdisjoint(others)
    files = {path.stem.removeprefix(PREFIX) for path in (ROOT / "bench" / "results").glob("*.json")}
    # Of the tests, for developers: CONTRIBUTING.md speaks of it.
    assert sorted(quoted | set(others)) == sorted(files - {"deciding"})


def test_every_question_that_is_measured_has_a_row():
    page = (ROOT / "bench" / "README.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(CASES)
