"""From the outcomes of many cases to figures and a page of text."""

__all__ = ["rate", "summarise", "text"]

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

Sample = dict[str, Any]

RATIOS = (1.0, 5.0, 20.0, float("inf"))
"""Upper ends of the bins of effect over noise."""


def rate(samples: Sequence[Sample], word: str = "exact") -> float | None:
    """Which part of them has this outcome; None where there are none."""
    return sum(s["word"] == word for s in samples) / len(samples) if samples else None


def summarise(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """A row for all faults, all clean pairs, and for each dtype, kind and family of variants."""
    faults = [s for s in samples if s["truth"] is not None]
    clean = [s for s in samples if s["truth"] is None]
    rows = [_row("faults", "all", faults)] if faults else []
    rows += _rows("dtype", faults, lambda s: [s["dtype"]])
    rows += _rows("kind", faults, lambda s: [s["kind"]])
    rows += _rows("family", faults, lambda s: s["families"])
    rows += _rows("transport", faults, lambda s: [s["transport"]])
    rows += _rows("effect_over_noise", faults, lambda s: [_bin(s)])
    rows += _rows("clean_kind", clean, lambda s: [s["kind"]])
    rows += _rows("clean_family", [s for s in clean if s["kind"] == "clean"], lambda s: s["families"])
    rows += _rows("clean_dtype", [s for s in clean if s["kind"] == "clean"], lambda s: [s["dtype"]])
    return rows


def _rows(
    what: str, samples: Sequence[Sample], groups: Callable[[Sample], Sequence[str]]
) -> list[dict[str, Any]]:
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        for name in groups(sample):
            by_name.setdefault(name, []).append(sample)
    return [_row(what, name, by_name[name]) for name in sorted(by_name)]


def _row(what: str, name: str, samples: Sequence[Sample]) -> dict[str, Any]:
    above = [s for s in samples if not s["is_below_rounding"]]
    return {
        "what": what,
        "name": name,
        "cases": len(samples),
        "words": dict(Counter(s["word"] for s in samples)),
        "exact_rate": None if what.startswith("clean") else rate(samples),
        "below_rounding": len(samples) - len(above),
        "exact_rate_above_rounding": None if what.startswith("clean") else rate(above),
        "words_below_rounding": dict(Counter(s["word"] for s in samples if s["is_below_rounding"])),
        "diagnoses": dict(Counter(kind for s in samples for kind in s["diagnoses"])),
        "diagnosed": sum(s["is_diagnosed"] for s in samples if s["is_diagnosed"] is not None),
        "diagnosable": sum(s["is_diagnosed"] is not None for s in samples),
        "pairs_without_layout": sum(len(s["unmeasured"]) for s in samples),
        "cases_with_wrong_layouts": sum(bool(s["wrong_layouts"]) for s in samples),
        "cases_with_unpaired": sum(bool(s["unpaired"]) for s in samples),
    }


def _bin(sample: Sample) -> str:
    ratio = sample["effect_over_noise"]
    ratio = float("inf") if ratio is None else ratio
    low = 0.0
    for high in RATIOS:
        if ratio < high or high == float("inf"):
            return f"{low:g}..{high:g}"
        low = high
    raise AssertionError("the last bin has no end")


def text(rows: Sequence[dict[str, Any]], samples: Sequence[Sample], *, examples: int = 4) -> str:
    """The figures, then for each kind a few of the cases that went wrong, with what reproduces them."""
    lines = ["what / name: cases, exact of all, exact above rounding (below), words, diagnosed, layouts"]
    lines += [_line(row) for row in rows]
    shown: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        is_bad = sample["word"] not in ("exact", "clean", "explained") or sample["wrong_layouts"]
        if not is_bad or sample["is_below_rounding"]:
            continue
        shown[sample["kind"], sample["word"]] += 1
        if shown[sample["kind"], sample["word"]] > examples:
            continue
        lines.append("")
        lines.append(
            f"{sample['word'].upper()} draw_case({sample['seed']}, {sample['kind']!r}, {sample['dtype']!r}) "
            f"{'+'.join(sample['families'])} {sample['transport']}"
            f"{' mirrored' if sample['is_mirrored'] else ''}; {sample['detail']}"
        )
        ratio = sample["effect_over_noise"]
        if sample["truth"] is not None:
            lines.append(
                f"   truth {sample['truth']}, effect {_number(sample['effect'])}, over noise {_number(ratio)}"
            )
        lines.append(f"   said {sample['said'][:400]}")
        lines += [
            f"   {key}: {'; '.join(sample[key][:3])[:400]} ({len(sample[key])})"
            for key in ("unmeasured", "wrong_layouts", "unpaired")
            if sample[key]
        ]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    words = " ".join(f"{word}={count}" for word, count in sorted(row["words"].items()))
    more = f" diagnosed={row['diagnosed']}/{row['diagnosable']}" if row["diagnosable"] else ""
    for key, label in (
        ("pairs_without_layout", "no_layout"),
        ("cases_with_wrong_layouts", "WRONG_LAYOUT"),
        ("cases_with_unpaired", "unpaired"),
    ):
        more += f" {label}={row[key]}" if row[key] else ""
    if row["diagnoses"] and row["what"] in ("kind", "clean_kind"):
        more += " [" + ", ".join(f"{kind} {count}" for kind, count in sorted(row["diagnoses"].items())) + "]"
    return (
        f"{row['what']:18} {row['name']:28} {row['cases']:5} {_percent(row['exact_rate'])} "
        f"{_percent(row['exact_rate_above_rounding'])} ({row['below_rounding']}) {words}{more}"
    )


def _percent(value: float | None) -> str:
    return "    - " if value is None else f"{100 * value:5.1f}%"


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.3g}"
