"""What came of every architecture: kept as JSON, shown as a page."""

import importlib.metadata
import json
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from outgrow import __version__
from tests.stream.matrix.architectures import architectures, one_line
from tests.stream.matrix.verdict import CRASHED, DIFFERS, EQUAL, NEW_TOKENS, REFUSED, UNBUILT, Verdict

ROOT = Path(__file__).parents[3]
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "reference" / "architectures.md"
_COLUMNS = (
    "architecture",
    "model type",
    "result",
    "weights, bytes",
    "budget, bytes",
    "streamed per pass, bytes",
    "generation",
    "checkpoint",
)
_OUTCOMES = (EQUAL, REFUSED, DIFFERS, CRASHED, UNBUILT)


def installed_versions() -> dict[str, str]:
    """What the results depend on."""
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers")}


class Results:
    """Verdicts by architecture, in a JSON file that is written anew with each."""

    def __init__(self, path: Path, versions: Mapping[str, str] | None = None) -> None:
        """Take up what the file holds: of any versions, or only if they are `versions`."""
        self.path = path
        self.versions = dict(versions or {})
        self.verdicts: dict[str, Verdict] = {}
        self._types = architectures()
        self._lock = threading.Lock()
        if path.exists():
            kept = json.loads(path.read_text())
            if versions is None or versions == kept["versions"]:
                self.versions = kept["versions"]
                self.verdicts = {row["architecture"]: Verdict(**row) for row in kept["verdicts"]}

    def add(self, verdict: Verdict) -> None:
        """Keep one, in place of an older one."""
        with self._lock:
            self.verdicts[verdict.architecture] = verdict
            data = {
                "format": 1,
                "outgrow": __version__,
                "versions": self.versions,
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

    def page(self) -> str:
        """The page for the documentation, as Markdown."""
        rows = [row for row in self.rows() if row.outcome != UNBUILT]
        unbuilt = [row for row in self.rows() if row.outcome == UNBUILT]
        return "\n".join([*self._summary(rows), *map(self._line, rows), *_unbuilt(unbuilt)]) + "\n"

    def _summary(self, rows: list[Verdict]) -> list[str]:
        counts = self.counts()
        equal = [row for row in rows if row.outcome == EQUAL]
        generated = sum(row.generation == EQUAL for row in equal)
        loaded = sum(row.checkpoint == EQUAL for row in equal)
        refused = sum(row.checkpoint.startswith(REFUSED) for row in equal)
        retried = sum(bool(row.least_bytes) for row in equal)
        share = len(equal) / max(len(rows), 1)
        prose = f"""# Architectures

Every causal language model of transformers {self.versions["transformers"]} that builds small and without
a download, run with torch {self.versions["torch"]} on the CPU within **30 % of its weights** and compared
bit for bit with itself in memory.

**{len(equal)} of {len(rows)} are equal ({share:.0%})**, {counts.get(REFUSED, 0)} refused with a reason,
{counts.get(DIFFERS, 0)} differ, {counts.get(CRASHED, 0)} failed.

*Equal* means: the same bits of all logits of a padded batch of two, in three passes, in the passes after
errors raised in the middle of one, and after `restore`; the accountant's peak within the budget; not all
weights in memory, and bytes really read where a pass streams any. Of these, {generated} generate
{NEW_TOKENS} tokens greedily with a cache: the same tokens, and the same bits of the logits behind each.
The column *checkpoint* says what `load` made of the model saved in bfloat16 (in float32 where it cannot
compute in bfloat16), against `from_pretrained`, by the same measures and again at 30 %: {loaded} equal,
{refused} refused.

Where 30 % of such a small model cannot work ({retried} times), that was refused with the least budget
that can, and the comparison was made with that. Where a pass streams nothing, all that it uses fits into
the budget: the rest are tables, which are read by row, or towers for pictures and sound.

`python -m tests.stream.matrix --again` makes this page anew; `make matrix` checks that what is equal here
still is.
"""
        return [
            *prose.splitlines(),
            "",
            f"| {' | '.join(_COLUMNS)} |",
            "|---|---|---|---:|---:|---:|---|---|",
        ]

    def _line(self, row: Verdict) -> str:
        budget = f"{row.least_bytes or row.budget_bytes:,}"
        if row.least_bytes:
            budget += f" (refused: {row.budget_bytes:,})"
        cells = [
            f"`{row.architecture}`",
            f"`{self._types.get(row.architecture, '')}`",
            row.outcome if row.outcome == EQUAL else f"**{row.outcome}**: {_cell(row.reason)}",
            f"{row.weights_bytes:,}",
            budget,
            f"{row.planned_bytes_per_pass:,}",
            _cell(row.generation),
            _cell(row.checkpoint),
        ]
        return f"| {' | '.join(cells)} |"


def _unbuilt(rows: list[Verdict]) -> list[str]:
    if not rows:
        return []
    return [
        "",
        "## Not compared",
        "",
        "These were not built small, offline and by themselves, so nothing is known of them.",
        "",
        "| architecture | why |",
        "|---|---|",
        *(f"| `{row.architecture}` | {_cell(row.reason)} |" for row in rows),
    ]


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")
