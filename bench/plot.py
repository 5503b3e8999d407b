"""Pictures of result files, from their JSON alone: `python -m bench plot FILE…` writes an SVG beside each."""

__all__ = ["draw", "main"]

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.compare_web.picture import draw_web
from bench.evolve.curves_picture import draw_curves
from bench.evolve.language_picture import draw_language
from bench.evolve_decisions.picture import draw_decisions
from bench.faults_picture import draw_faults
from bench.planted.picture import draw_planted

_MINE, _FLOOR, _PEER = "#1f6f8b", "#b0b0b0", "#d08c60"


def draw(path: Path) -> Path:
    """Draw one result file; return the picture's path.

    Raises:
        ValueError: the case has no picture, or nothing in the file was measured.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": path.stem, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    from matplotlib import pyplot

    record = json.loads(path.read_text())
    drawings = {
        "floor": _curve,
        "curve": _curve,
        "run7b": _curve,
        "peers": _peers,
        "compare_speed": _compare_speed,
        "compare_web": draw_web,
        "planted": draw_planted,
        "axis_matching": _axis_matching,
        "shard_faults": draw_faults,
        "evolve_curves": draw_curves,
        "evolve_language": draw_language,
        "evolve_decisions": draw_decisions,
    }
    if record["case"] not in drawings:
        raise ValueError(f"no picture for case {record['case']!r}; there is one for {', '.join(drawings)}")
    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    try:
        drawings[record["case"]](axes, record)
        figure.text(0.01, 0.01, _label(record), fontsize=6.5, color="#606060")
        figure.tight_layout(rect=(0, 0.04, 1, 1))
        target = path.with_suffix(".svg")
        figure.savefig(target, metadata={"Date": None})
    finally:
        pyplot.close(figure)
    return target


def _curve(axes: Any, record: dict[str, Any]) -> None:
    rows = sorted((r for r in record["summary"] if "fraction" in r), key=lambda row: row["fraction"])
    if not rows:
        raise ValueError("no budget was measured")
    budgets = [100 * row["fraction"] for row in rows]
    rates = [1 / row["token_seconds"]["median"] for row in rows]
    least = [rate - 1 / row["token_seconds"]["max"] for rate, row in zip(rates, rows, strict=True)]
    most = [1 / row["token_seconds"]["min"] - rate for rate, row in zip(rates, rows, strict=True)]
    axes.errorbar(
        budgets,
        rates,
        yerr=[least, most],
        color=_MINE,
        marker="o",
        capsize=3,
        label="outgrow (median, range; figures: time / floor)",
    )
    axes.plot(
        budgets, [1 / row["floor_seconds"]["median"] for row in rows], color=_FLOOR, ls="--",
        label="floor: max(compute, streamed bytes / disk)",
    )  # fmt: skip
    for budget, rate, row in zip(budgets, rates, rows, strict=True):
        axes.annotate(
            f"{row['floor_ratio']['median']:.2f}",
            (budget, rate),
            xytext=(-4, 6),
            textcoords="offset points",
            ha="right",
        )
    for row in record["summary"]:
        if row["label"] == "resident":
            axes.axhline(1 / row["token_seconds"]["median"], color=_PEER, lw=1, label="everything resident")
    axes.set(xlabel="budget, % of the weights", ylabel="tokens per second", ylim=(0, None))
    axes.set_title(f"Decoding {_model(record)} over budgets, {record['cache']} cache", loc="left")
    axes.legend(frameon=False)


def _peers(axes: Any, record: dict[str, Any]) -> None:
    rows = [row for row in record["summary"] if row["peer_figures"]["token_seconds"]["median"]]
    if not rows:
        raise ValueError("no peer was measured")
    names, seconds, errors, colours, notes = [], [], [], [], []
    for fraction in dict.fromkeys(row["fraction"] for row in rows):
        group = [row for row in rows if row["fraction"] == fraction]
        mine = [s for row in group for s in row["outgrow"]["token_seconds"]["samples"]]
        entries = [("outgrow", sorted(mine), "")] if mine else []
        for row in group:
            times = row["times_faster"]["median"]
            entries.append(
                (
                    row["peer"],
                    sorted(row["peer_figures"]["token_seconds"]["samples"]),
                    f"{times:.1f} x" if times else "",
                )
            )
        for name, samples, note in entries:
            middle = statistics.median(samples)
            names.append(f"{name}, {fraction:.0%}")
            seconds.append(middle)
            errors.append((middle - samples[0], samples[-1] - middle))
            colours.append(_MINE if name == "outgrow" else _PEER)
            notes.append(note)
    places = list(range(len(names)))[::-1]
    axes.barh(
        places,
        seconds,
        color=colours,
        xerr=list(zip(*errors, strict=True)),
        error_kw={"capsize": 2, "lw": 0.8},
    )
    for place, width, error, note in zip(places, seconds, errors, notes, strict=True):
        axes.annotate(note, (width + error[1], place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, names)
    axes.set(xlabel="seconds per token (median, range); figures: times that outgrow took, in pairs")
    axes.set_title(f"Decoding {_model(record)} under one memory limit", loc="left")


def _axis_matching(axes: Any, record: dict[str, Any]) -> None:
    rows = {row["group"]: row for row in record["summary"]}
    groups = {
        "without fault": (_MINE, [s for s in record["samples"] if not s["fault"]]),
        "with fault": (_PEER, [s for s in record["samples"] if s["fault"]]),
    }
    if not any(samples for _, samples in groups.values()):
        raise ValueError("nothing was searched")
    for name, (colour, samples) in groups.items():
        if not samples:
            continue
        times = sorted(1e3 * sample["seconds"] for sample in samples)
        row = rows[name]
        counts = ", ".join(f"{row[outcome]} {outcome}" for outcome in ("right", "refused", "wrong"))
        shares = [100 * (place + 1) / len(times) for place in range(len(times))]
        axes.plot(times, shares, color=colour, label=f"{name}: {counts}")
        axes.plot(1e3 * row["seconds"]["p95"], 95, "o", color=colour)
    axes.axvline(50, color=_FLOOR, ls="--")
    axes.set(xlabel="milliseconds for one search", ylabel="% of searches", xscale="log", ylim=(0, 101))
    axes.set_title("Finding layouts, up to a million numbers; dots: 95th percentile", loc="left")
    axes.legend(frameon=False, loc="lower right")


def _compare_speed(axes: Any, record: dict[str, Any]) -> None:
    kinds = (
        ("compare_seconds", "outgrow compare", _MINE),
        ("copied_seconds", "sum, by read()", _FLOOR),
        ("mapped_seconds", "sum, mapped", _FLOOR),
        ("disk_seconds", "best disk probe", _FLOOR),
    )
    names, medians, errors, colours = [], [], [], []
    for row in record["summary"]:
        for key, label, colour in kinds:
            if key in row:
                found = row[key]
                names.append(f"{row['dtype']}, {row['cache']}: {label}")
                medians.append(found["median"])
                errors.append((found["median"] - found["min"], found["max"] - found["median"]))
                colours.append(colour)
    if not names:
        raise ValueError("nothing was measured")
    places = list(range(len(names)))[::-1]
    axes.barh(places, medians, color=colours, xerr=list(zip(*errors, strict=True)), error_kw={"capsize": 2})
    axes.set_yticks(places, names)
    axes.set(xlabel="seconds (median, range)")
    axes.set_title(f"Two dumps of {record['dump']['elements'] / 1e6:.0f} M elements", loc="left")


def _model(record: dict[str, Any]) -> str:
    return f"{record['model']['name']} ({record['model']['weights_bytes'] / 1e9:.2f} GB)"


def _label(record: dict[str, Any]) -> str:
    about = record["machine"]
    versions = record["versions"]
    parts = (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_bytes'] / 2**30:.0f} GiB",
        f"{about['system']} {about['kernel']}",
        f"torch {versions['torch']}, transformers {versions['transformers']}",
        record["date"][:10],
        *([f"rounds: {record['rounds']}"] if "rounds" in record else []),
        f"commit {record['commit'][:9]}",
    )
    return "; ".join(parts)


def main(files: Sequence[str]) -> int:
    """Draw each file; print what was written."""
    for file in files:
        try:
            print(draw(Path(file)))
        except (OSError, ValueError) as err:
            print(f"error: {file}: {err}", file=sys.stderr)
            return 2
    return 0
