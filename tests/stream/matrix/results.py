"""What came of every architecture: kept as JSON, shown as a page."""

import importlib.metadata
import json
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from outgrow import __version__
from tests.stream.matrix.verdict import CRASHED, DIFFERS, EQUAL, REFUSED, UNBUILT, Verdict

_OUTCOMES = (EQUAL, REFUSED, DIFFERS, CRASHED, UNBUILT)


class Results:
    """Verdicts by architecture, in a JSON file that is written anew with each."""

    def __init__(self, path: Path, architectures: Mapping[str, str]) -> None:
        """Take up verdicts of the same versions."""
        self.path = path
        self.architectures = architectures
        self.versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
        self.verdicts: dict[str, Verdict] = {}
        self._lock = threading.Lock()
        if path.exists():
            kept = json.loads(path.read_text())
            if {name: kept["versions"][name] for name in self.versions} == self.versions:
                self.verdicts = {row["architecture"]: Verdict(**row) for row in kept["verdicts"]}

    def add(self, verdict: Verdict) -> None:
        """Keep one, in place of an older one."""
        with self._lock:
            self.verdicts[verdict.architecture] = verdict
            data = {
                "format": 1,
                "versions": {**self.versions, "outgrow": __version__},
                "counts": self.counts(),
                "verdicts": [row.as_dict() for row in self.rows()],
            }
            self.path.write_text(json.dumps(data, indent=1) + "\n")

    def rows(self) -> list[Verdict]:
        """All of them, by name."""
        return sorted(self.verdicts.values(), key=lambda verdict: verdict.architecture.lower())

    def counts(self) -> dict[str, int]:
        """How many there are of each outcome."""
        counted = Counter(verdict.outcome for verdict in self.verdicts.values())
        return {outcome: counted[outcome] for outcome in _OUTCOMES if counted[outcome]}


def write_page(results: Results, path: Path) -> None:
    """The table for the documentation."""
    path.write_text(page_of(results))


def page_of(results: Results) -> str:
    """The table for the documentation, as Markdown."""
    rows = [row for row in results.rows() if row.outcome != UNBUILT]
    unbuilt = [row for row in results.rows() if row.outcome == UNBUILT]
    counts = results.counts()
    equal = counts.get(EQUAL, 0)
    loaded = [row for row in rows if row.checkpoint]
    loaded_equal = [row for row in loaded if row.checkpoint == EQUAL]
    generated = [row for row in rows if row.outcome == EQUAL and row.generation == EQUAL]
    share = equal / len(rows) if rows else 0.0
    lines = [
        "# Architectures",
        "",
        f"Every causal language model of transformers {results.versions['transformers']} that builds small without a",
        f"download, run with torch {results.versions['torch']} within **30 % of its weights** and compared bit for bit with",
        "itself in memory. `make matrix` runs it again; the figures come from `tests/stream/matrix/results.json`.",
        "",
        f"**{equal} of {len(rows)} are equal ({share:.0%})**, {counts.get(REFUSED, 0)} refused with a reason, "
        f"{counts.get(DIFFERS, 0)} differ, {counts.get(CRASHED, 0)} failed.",
        "",
        "*Equal* means: the same bits of all logits of a padded batch of two, in three passes, after errors raised in the",
        "middle of a pass, and after `restore`; the accountant's peak within the budget; bytes really read from disk. "
        f"{len(generated)} of them can",
        f"generate: the same {8} tokens and the same bits of the logits behind each, with a cache. The column *checkpoint* says",
        "what `load` made of the model saved in bfloat16, against `from_pretrained`, again at 30 %: "
        f"{len(loaded_equal)} of {len(loaded)} equal.",
        "",
        "Where 30 % of such a small model cannot work, that is refused with the least budget that can, and the comparison",
        "is done with that; such a row counts as equal and names both.",
        "",
        "| architecture | model type | result | budget, bytes | weights, bytes | streamed per pass, bytes | generation | checkpoint |",
        "|---|---|---|---:|---:|---:|---|---|",
    ]
    for row in rows:
        budget = f"{row.least_bytes or row.budget_bytes:,}"
        if row.least_bytes:
            budget += f" ({row.budget_bytes:,} refused)"
        result = row.outcome if row.outcome == EQUAL else f"**{row.outcome}**: {_cell(row.reason)}"
        lines.append(
            f"| `{row.architecture}` | `{results.architectures.get(row.architecture, '')}` | {result} | {budget} | "
            f"{row.weights_bytes:,} | {row.planned_bytes_per_pass:,} | {_cell(row.generation)} | {_cell(row.checkpoint)} |"
        )
    lines += ["", "## Not compared", "", "These do not run small, offline and by themselves, so nothing is known of them.", ""]
    lines += ["| architecture | why |", "|---|---|"]
    lines += [f"| `{row.architecture}` | {_cell(row.reason)} |" for row in unbuilt]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first[:200].replace("|", "\\|").replace("<", "&lt;")
