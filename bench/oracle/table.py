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
    seed += " --engine local" if record.get("engine") == "local" else ""
    return (
        f"python -m bench shard_ops --dry --only '{record['database']}:{record['name']}' "
        f"--world {record['world_size']}{seed} --case '{case}'"
    )


def page(result: dict[str, Any]) -> str:
    """Markdown for docs/reference/shard-ops.md, from a result file alone."""
    records: list[Record] = result["samples"]
    figures = [row for row in result["summary"] if "database" in row]
    ran = next(row for row in result["summary"] if "rows" in row)
    lines = [_HEAD.format(torch=result["versions"]["torch"], rows=ran["rows"], ops=ran["ops_with_rows"])]
    lines += [
        "| database | workers | entries | equal forward | and backward | cases |",
        "|---|---|---|---|---|---|",
    ]
    for row in figures:
        cases = sum(row["cases"].values())
        lines.append(
            f"| {row['database']} | {row['world_size']} | {row['entries']} | {row['equal_forward']:.1%} | "
            f"{row['equal_forward_and_backward']:.1%} | {cases:,} |"
        )
    lines += ["", *_listed("Refused", ("refused",), records), *_listed("Failures", BAD, records)]
    return "\n".join(lines) + "\n"


_HEAD = """# Which ops workers run

Every entry of torch's own databases of ops (`OpInfo`), modules (`ModuleInfo`) and optimizers
(`OptimizerInfo`), those of torch {torch}, runs through the whole client on simulated workers, and is
compared with torch alone: values, dtypes, shapes, NaN places, gradients, in-place and `out=` variants, and
the errors of inputs that torch refuses. Each sample runs in several placements of its inputs, and with the
ways to run each op on pieces (*rows*) picked at random: {rows} rows of {ops} ops were run. An entry counts as
equal when every case of it is. What torch refuses because memory overlaps may be accepted: values of workers
lie in no memory that could. `make oracle` repeats it; this page is written from the result file.
"""


def _listed(title: str, words: Sequence[str], records: Sequence[Record]) -> list[str]:
    """A section with a line for each entry that has such cases: worst first, then by name."""
    found: dict[tuple[int, str, str], tuple[list[int], dict[str, Any]]] = {}
    for record in records:
        for kept in record["kept"]:
            if kept["word"] in words:
                key = (WORDS.index(kept["word"]), record["database"], record["name"])
                found.setdefault(key, ([], kept))[0].append(record["world_size"])
                break
    lines = [f"## {title}", ""]
    if not found:
        return [*lines, "None.", ""]
    lines += ["| entry | workers | what | said |", "|---|---|---|---|"]
    for (_, database, name), (worlds, kept) in sorted(found.items()):
        said = " ".join(kept["said"].partition("Traceback")[0].split())[:160].replace("|", "\\|")
        sizes = ", ".join(map(str, sorted(set(worlds))))
        lines.append(
            f"| {database} `{name}` | {sizes} | {kept['word']}, {kept['phase']} | `{said.replace('`', '')}` |"
        )
    return [*lines, ""]
