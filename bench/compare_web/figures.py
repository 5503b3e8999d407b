"""From the samples of `compare_web` to its figures, each beside what it must reach."""

__all__ = ["summary_of"]

import statistics
from collections.abc import Sequence
from typing import Any

from bench.figures import spread

Sample = dict[str, Any]
_FRAME_MS = 33.0


def summary_of(samples: Sequence[Sample], *, bundle: dict[str, int]) -> list[dict[str, Any]]:
    """One row for each question that was measured."""
    parts = {name: [s for s in samples if s["part"] == name] for name in {s["part"] for s in samples}}
    rows = [_row("page, packed", "bytes", [bundle["packed_bytes"]], 200_000, **bundle)]
    for cold in (False, True):
        found = [s for s in parts.get("verdict", ()) if s["cold"] == cold]
        if found:
            rows += _verdict_rows(found, "cold" if cold else "warm")
    if "start" in parts:
        rows.append(_row("first paint", "seconds", _all(parts["start"], "first_paint_seconds"), 0.5))
        rows.append(_row("process to URL", "seconds", _all(parts["start"], "url_seconds"), 2.0))
    if "slices" in parts:
        rows += _slice_rows(parts["slices"])
    for kind in dict.fromkeys(s["kind"] for s in parts.get("drops", ())):
        found = [s for s in parts["drops"] if s["kind"] == kind]
        uploads = spread(_all(found, "upload_seconds"))
        rows.append(
            _row(
                f"two .{kind} dropped", "seconds", _all(found, "seconds"), 5.0, bytes=found[0]["bytes"],
                upload_seconds=uploads,
            )
        )  # fmt: skip
    if "rows" in parts:
        rows += _list_rows(parts["rows"])
    # What a list of 100,000 rows takes is told with it: five kilobytes a row, whatever the tensors' size.
    recordings = [s for s in samples if s["part"] != "rows"]
    peaks = [value for s in recordings for key, value in s.items() if key.endswith("anon_bytes")]
    if peaks:
        rows.append(_row("server's own memory", "bytes", [max(peaks)], 400_000_000))
    return rows


def _verdict_rows(found: list[Sample], cache: str) -> list[dict[str, Any]]:
    """Ratios within each round, to the mean of the command line before and after."""
    command = [statistics.fmean((s["command_line_seconds"], s["command_line_seconds_after"])) for s in found]
    rows = []
    for key, words in (("from_press_seconds", "button"), ("from_start_seconds", "process")):
        seconds = _all(found, key)
        ratios = [mine / floor for mine, floor in zip(seconds, command, strict=True)]
        rows.append(
            _row(
                f"{words} to verdict, {cache}", "times the command line", ratios, 1.5,
                seconds=spread(seconds), command_line_seconds=spread(command),
            )
        )  # fmt: skip
    return rows


def _slice_rows(found: list[Sample]) -> list[dict[str, Any]]:
    rows = []
    for key, words in (
        ("tile_seconds", "slice to the page"),
        ("strided_seconds", "strided slice to the page"),
        ("whole_seconds", "whole tensor to the page"),
        ("slide_first_seconds", "slider to first picture"),
        ("slide_last_seconds", "slider to last picture"),
    ):
        seconds = sorted(value for s in found for value in s[key])
        if seconds:
            # The slowest counts: any slice.
            rows.append(_row(words, "seconds", seconds, 0.1, measured=seconds[-1], p95=_share(seconds, 0.95)))
    return rows


def _list_rows(found: list[Sample]) -> list[dict[str, Any]]:
    rows = []
    for name in ("slow", "fast", "jumps"):
        frames = [delta for s in found for delta in s[f"{name}_frame_ms"]]
        late = sum(delta >= _FRAME_MS for delta in frames) / len(frames)
        words = f"frames over {_FRAME_MS:.0f} ms, {name} scrolling"
        worst = {"worst_ms": max(frames), "median_ms": statistics.median(frames)}
        rows.append(_row(words, "share", [late], 0.05, rows=found[0]["rows"], frames=len(frames), **worst))
    listed = [s["rows_received"] + s["rows_parsed"] for s in found]
    about = {key: spread(_all(found, key)) for key in ("rows_bytes", "list_anon_bytes", "verdict_seconds")}
    rows.append(_row("all rows to the page", "seconds", listed, 1.0, rows=found[0]["rows"], **about))
    return rows


def _row(
    question: str, unit: str, values: list[float], limit: float, *, measured: float | None = None, **more: Any
) -> dict[str, Any]:
    middle = statistics.median(values) if measured is None else measured
    return {
        "question": question, "unit": unit, "limit": limit, "measured": middle, "is_reached": middle < limit,
        "values": spread(values), **more,
    }  # fmt: skip


def _all(found: list[Sample], key: str) -> list[float]:
    return [sample[key] for sample in found]


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
