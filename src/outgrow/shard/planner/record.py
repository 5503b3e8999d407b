"""A plan as JSON: what is logged of a decision, so that it can be made again."""

__all__ = ["digest_of", "plan_from_json", "plan_to_json"]

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from outgrow.errors import InputError
from outgrow.placement import parse_placement
from outgrow.shard.planner.problem import Plan
from outgrow.shard.rules import Row

FORMAT = 1


def plan_to_json(plan: Plan, rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """The plan as plain values; `rows` are those of the problem that it answers.

    Rows are named by their numbers. A digest of all rows goes with them: where rules have changed since, the
    numbers mean something else.
    """
    return {
        "format": FORMAT,
        "kind": plan.kind,
        "digest": digest_of(rows),
        "rows": list(plan.rows),
        "inputs": [str(placement) for placement in plan.inputs],
        "outputs": [[local, str(placement)] for local, placement in sorted(plan.outputs.items())],
        "predicted_seconds": plan.predicted_seconds,
        "state_bytes": plan.state_bytes,
        "rest_bytes": plan.rest_bytes,
        "notes": list(plan.notes),
        "details": dict(plan.details),
    }


def plan_from_json(record: Mapping[str, Any], rows: Sequence[Sequence[Row]]) -> Plan:
    """The plan that `plan_to_json` wrote.

    Raises:
        InputError: it was written in another format, or for other rows.
    """
    if record.get("format") != FORMAT:
        raise InputError(
            f"a plan of format {record.get('format')!r}, expected {FORMAT}",
            hint="it was logged by another version of outgrow; start without the log",
        )
    digest = digest_of(rows)
    if record["digest"] != digest:
        raise InputError(
            f"a plan for the rows {record['digest']}, but these are {digest}",
            hint="the rules have changed since it was logged; start without the log",
        )
    chosen = tuple(int(number) for number in record["rows"])
    if chosen and (
        len(chosen) != len(rows)
        or any(not 0 <= n < len(known) for n, known in zip(chosen, rows, strict=True))
    ):
        raise InputError("a plan names rows that there are not", hint="the log is damaged")
    return Plan(
        kind=record["kind"],
        rows=chosen,
        inputs=tuple(parse_placement(text) for text in record["inputs"]),
        outputs={int(local): parse_placement(text) for local, text in record["outputs"]},
        predicted_seconds=float(record["predicted_seconds"]),
        state_bytes=int(record["state_bytes"]),
        rest_bytes=int(record["rest_bytes"]),
        notes=tuple(record["notes"]),
        details=record["details"],
    )


def digest_of(rows: Sequence[Sequence[Row]]) -> str:
    """Sixteen characters that differ where any row does; kernels count as there or not."""
    whole = hashlib.sha256()
    known: dict[int, bytes] = {}
    for several in rows:
        part = known.get(id(several))
        if part is None:
            part = known[id(several)] = ";".join(map(_text, several)).encode()
        whole.update(part + b"\n")
    return whole.hexdigest()[:16]


def _text(row: Row) -> str:
    inputs, outputs = " ".join(map(str, row.inputs)), " ".join(map(str, row.outputs))
    return f"{inputs}>{outputs}{'' if row.kernel is None else '*'}"
