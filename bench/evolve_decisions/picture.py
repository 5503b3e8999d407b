"""Regret of the policies, task by task, drawn from a result file alone."""

__all__ = ["draw_decisions"]

from typing import Any

_COLOURS = {"uniform": "#b0b0b0", "greedy": "#1f6f8b", "learned": "#d08c60"}
_OTHER = "#dcdcdc"


def draw_decisions(axes: Any, record: dict[str, Any]) -> None:
    """One row a policy: the mean over tasks of its regret in shares of uniform's, and a dot for each task."""
    rows = sorted(record["summary"], key=lambda row: -row["validation_share_of_uniform"])
    for number, row in enumerate(rows):
        name = row["policy"]
        colour = next((one for start, one in _COLOURS.items() if name.startswith(start)), _OTHER)
        share = row["validation_share_of_uniform"]
        axes.barh(number, share, color=colour, zorder=1)
        low, high = (row[f"validation_{end}_share_of_uniform"] for end in ("low", "high"))
        axes.plot([low, high], [number, number], color="#303030", linewidth=1, zorder=2)
        dots = [
            sample["policies"][name]["validation_share_of_uniform"]
            for sample in record["samples"]
            if name in sample["policies"]
        ]
        axes.scatter(dots, [number] * len(dots), color="#303030", s=9, zorder=3)
    axes.set_yticks(range(len(rows)), [row["policy"] for row in rows])
    axes.axvline(0.5, color="#606060", linewidth=0.8, linestyle=":")
    axes.set_xlabel("regret, shares of uniform's (line: 95 % of bootstraps over tasks; dots: tasks)")
    axes.set_xlim(left=0)
