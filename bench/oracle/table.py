"""From records to figures, to a page of text for those who mend, and to the page of the documentation."""

__all__ = ["page", "summarise", "text"]

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.oracle.words import BAD, WORDS

Record = dict[str, Any]


def summarise(records: Sequence[Record]) -> list[dict[str, Any]]:
    """A row for each database and world size, and one for the rows of the rules that were run."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record["database"], record["world_size"]), []).append(record)
    found = []
    for (database, world_size), group in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        both = [_both(record) for record in group]
        cases: Counter[str] = Counter()
        for record in group:
            cases.update(record["cases"])
        found.append(
            {
                "database": database,
                "world_size": world_size,
                "entries": len(group),
                "forward": _counts(record["forward"] or "equal" for record in group),
                "forward_and_backward": _counts(both),
                "equal_forward": sum(record["forward"] in ("equal", None) for record in group) / len(group),
                "equal_forward_and_backward": sum(word == "equal" for word in both) / len(group),
                "cases": dict(sorted(cases.items())),
                "seconds": round(sum(record["seconds"] for record in group), 1),
            }
        )
    rows: dict[str, set[str]] = {}
    for record in records:
        for op, seen in record.get("rows", {}).items():
            rows.setdefault(op, set()).update(seen)
    found.append({"ops_with_rows": len(rows), "rows": sum(map(len, rows.values()))})
    return found


def _counts(words: Any) -> dict[str, int]:
    found = Counter(words)
    return {word: found[word] for word in WORDS if found[word]}


def _both(record: Record) -> str:
    words = {record["forward"], record["backward"]} - {None}
    return next((word for word in WORDS if word in words), "equal")


def text(summary: Sequence[dict[str, Any]], records: Sequence[Record]) -> str:
    """The figures, then every failure with what reproduces it, worst first."""
    lines = []
    for row in summary:
        if "database" in row:
            lines.append(
                f"{row['database']:9} world {row['world_size']}: {row['entries']} entries, equal forward "
                f"{row['equal_forward']:.1%}, forward and backward {row['equal_forward_and_backward']:.1%}; "
                f"{row['forward_and_backward']} ({row['seconds']} s)"
            )
        else:
            lines.append(f"{row['rows']} rows of {row['ops_with_rows']} ops were run")
    for word in (*BAD, "refused"):
        for record in records:
            kept = [one for one in record["kept"] if one["word"] == word]
            for one in kept[:2]:
                lines.append("")
                lines.append(f"{word.upper()} {one['phase']}: {one['said'][:600]}")
                lines.append(f"   {reproduction(record, one['case'])}")
    return "\n".join(lines) + "\n"


def reproduction(record: Record, case: str) -> str:
    """The command that runs one case again."""
    seed = f" --seed {record['seed']}" if record["seed"] else ""
    return (
        f"python -m bench shard_ops --dry --only '{record['database']}:{record['name']}' "
        f"--world {record['world_size']}{seed} --case '{case}'"
    )


def page(result: dict[str, Any]) -> str:
    """Markdown for docs/reference/shard-ops.md."""
    raise NotImplementedError
