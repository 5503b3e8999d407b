"""How the steps of a program run, and why, as text: from what the workers answer to `explain`."""

__all__ = ["cycle_sentence", "explanation_text", "kind_text", "placement_text", "used_candidate"]

from collections.abc import Mapping, Sequence
from typing import Any, Final

from outgrow.quantities import format_bytes, format_count

_WIDEST: Final = 46
_LINES: Final = 24


def explanation_text(answer: Mapping[str, Any], names: Mapping[int, str] | None = None) -> str:
    """Tables of the candidates, the inputs and the exchanges of every step that repeats.

    `answer` is what the workers say; `names` gives inputs of the first cycle other names, by input.
    """
    cycles = answer["cycles"]
    world = answer["world_size"]
    workers = f"{world} worker{'s' if world != 1 else ''}"
    if not cycles:
        return f"{workers}. Nothing has repeated yet: ops run one by one, each so that few bytes are moved."
    blocks = [_cycle(number, cycle, world, names or {}) for number, cycle in enumerate(cycles)]
    return f"{workers}.\n\n" + "\n\n".join(blocks)


def cycle_sentence(cycle: Mapping[str, Any]) -> str:
    """One step in a line: `planned: 322 MB on each worker, 8.18 MB in 61 exchanges`."""
    used = used_candidate(cycle)
    if used is None or cycle["used"] is None:
        return "no plan yet: op by op"
    sent = used["details"].get("exchanged", {"times": 0, "bytes": 0})
    where = "on one worker" if used["kind"] == "solo" else "on each worker"
    exchanged = "no exchange"
    if sent["times"]:
        exchanged = f"{format_bytes(sent['bytes'])} in {format_count(sent['times'], 'exchange')}"
    return f"{kind_text(used['kind'])}: {format_bytes(used['state_bytes'])} {where}, {exchanged}"


def used_candidate(cycle: Mapping[str, Any]) -> dict[str, Any] | None:
    """The candidate that runs; where it is not decided yet, the one that was predicted to be best; None where
    there is none."""
    candidates = cycle["candidates"]
    if not candidates:
        return None
    used = cycle["used"]
    found: dict[str, Any] = candidates[0 if used is None else used]
    return found


def _cycle(number: int, cycle: Mapping[str, Any], world: int, names: Mapping[int, str]) -> str:
    used = used_candidate(cycle)
    lines = [_heading(number, cycle, used)]
    lines += [f"  {note}" for note in cycle["notes"]]
    if cycle["candidates"]:
        lines += ["", *_candidates(cycle)]
    if used is not None:
        details = used["details"]
        if details.get("leaves"):
            lines += ["", *_leaves(details, names)]
        if details.get("collectives"):
            lines += ["", *_collectives(details["collectives"])]
        elif world > 1 and used["kind"] != "solo":
            lines += ["", "Nothing is exchanged."]
    return "\n".join(lines)


def _heading(number: int, cycle: Mapping[str, Any], used: Mapping[str, Any] | None) -> str:
    title = f"Step {number + 1}"
    if used is None:
        return f"{title}: runs op by op."
    if cycle["used"] is None:
        return f"{title}: runs op by op" + (
            "; candidates are being tried." if not cycle["is_final"] else ": no plan was right."
        )
    state = "" if cycle["is_final"] else ", still being tried"
    return f"{title}: {kind_text(used['kind'])}{state}."


def _candidates(cycle: Mapping[str, Any]) -> list[str]:
    rows = [("", "candidate", "predicted", "measured", "state per worker", "exchanged", "")]
    for number, plan in enumerate(cycle["candidates"]):
        exchanged = plan["details"].get("exchanged", {"times": 0, "bytes": 0})
        rows.append(
            (
                "*" if number == cycle["used"] else "",
                kind_text(plan["kind"]),
                _milliseconds(plan["predicted_seconds"]),
                _milliseconds(plan.get("measured_seconds")),
                format_bytes(plan["state_bytes"]),
                _exchanged(exchanged),
                f"not used: {plan['banned']}" if plan.get("banned") else "",
            )
        )
    return _table(rows, right=(2, 3, 4))


def _exchanged(total: Mapping[str, int]) -> str:
    return f"{total['times']} x, {format_bytes(total['bytes'])}" if total["times"] else "nothing"


def _leaves(details: Mapping[str, Any], names: Mapping[int, str]) -> list[str]:
    rows = [("tensor", "shape", "held as", "whole", "per worker", "why")]
    leaves = sorted(details["leaves"], key=lambda leaf: (-leaf["bytes"], leaf["input"]))
    rows += [
        (
            _short(names.get(leaf["input"], leaf["name"])),
            "x".join(map(str, leaf["shape"])) or "1",
            placement_text(leaf["placement"]),
            format_bytes(leaf["bytes"]),
            format_bytes(leaf["rank_bytes"]),
            leaf["why"] or leaf["role"],
        )
        for leaf in leaves[:_LINES]
    ]
    lines = _table(rows, right=(3, 4))
    others = details.get("other_leaves", {"count": 0, "bytes": 0})
    count = others["count"] + max(0, len(leaves) - _LINES)
    if count:
        size = others["bytes"] + sum(leaf["bytes"] for leaf in leaves[_LINES:])
        lines.append(f"and {count} more of {format_bytes(size)} together")
    return lines


def _collectives(moves: Sequence[Mapping[str, Any]]) -> list[str]:
    grouped: dict[tuple[str, str, int, bool], list[float]] = {}
    for move in moves:
        key = (
            " + ".join(move["collectives"]),
            f"{move['from']} to {move['to']}",
            move["bytes"],
            move["is_deferred"],
        )
        grouped.setdefault(key, []).append(move["predicted_seconds"])
    rows = [("exchange", "placement", "bytes", "times", "predicted", "")]
    ordered = sorted(grouped.items(), key=lambda item: -sum(item[1]))
    for (name, change, size, is_deferred), seconds in ordered[:_LINES]:
        late = "waits for the update only" if is_deferred else ""
        rows.append((name, change, format_bytes(size), str(len(seconds)), _milliseconds(sum(seconds)), late))
    lines = _table(rows, right=(2, 3, 4))
    if len(ordered) > _LINES:
        lines.append(f"and {len(ordered) - _LINES} kinds more")
    return lines


def kind_text(kind: str) -> str:
    """What a kind of plan is called."""
    return "one worker alone" if kind == "solo" else kind


def placement_text(text: str) -> str:
    """A placement in words: `cut along dim 0`, `whole`, `sums`, `on worker 0`."""
    if text == "R":
        return "whole"
    if text.startswith("S("):
        return f"cut along dim {text[2:-1]}"
    if text.startswith("O("):
        return f"on worker {text[2:-1]}"
    return "sums" if text == "P(sum)" else f"parts ({text[2:-1]})"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f} ms"


def _short(name: str) -> str:
    return name if len(name) <= _WIDEST else "..." + name[3 - _WIDEST :]


def _table(rows: Sequence[tuple[str, ...]], right: Sequence[int] = ()) -> list[str]:
    """Columns as wide as they must be; no colours: it is printed into logs, too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths if width).rstrip())
    return lines
