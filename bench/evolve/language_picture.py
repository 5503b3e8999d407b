"""Final loss of the GPT over characters against what was spent for it."""

__all__ = ["draw_language"]

from typing import Any

_COLOURS = {"large": "#d08c60", "grown": "#1f6f8b", "small": "#b0b0b0"}
_LABELS = {
    "large": "large from scratch",
    "grown": "small, then grown to large",
    "small": "small, never grown",
}
_FLOPS_OF_A_MAC = 2


def draw_language(axes: Any, record: dict[str, Any]) -> None:
    """A point for each arm and budget with its 95 % interval.

    Raises:
        ValueError: no run is finished.
    """
    rows = [row for row in record["summary"] if row["what"] == "arm"]
    if not rows:
        raise ValueError("no run of the language case is finished")
    for name, colour in _COLOURS.items():
        mine = sorted((row for row in rows if row["arm"] == name), key=lambda row: row["macs"])
        if not mine:
            continue
        losses = [row["held_out_ce"] for row in mine]
        reach = [(0, 0) if one["low"] is None else (one["mean"] - one["low"],) * 2 for one in losses]
        axes.errorbar(
            [row["macs"] * _FLOPS_OF_A_MAC for row in mine],
            [one["mean"] for one in losses],
            yerr=list(zip(*reach, strict=True)),
            color=colour,
            label=_LABELS[name],
            marker="o",
            capsize=3,
        )
    axes.set(xlabel="training FLOPs, all that was spent", ylabel="held-out cross-entropy, nats a character")
    axes.set_title("A GPT over the sources of Python's standard library", loc="left")
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
