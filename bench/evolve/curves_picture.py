"""Accuracy and cross-entropy over training FLOPs and over CPU seconds."""

__all__ = ["draw_curves"]

from typing import Any

_COLOURS = ("#c9b458", "#d08c60", "#b04a4a", "#8a6fa8", "#5f6f8b", "#7f9f7f", "#9a8878")
_GROWING = ("#1f6f8b", "#0b3c4d", "#56a3ba", "#2f8f6b", "#7fb3c4", "#303030")
_TRAINING_FLOPS_OF_A_MAC = 2


def draw_curves(axes: Any, record: dict[str, Any]) -> None:
    """Lines join the budgets of a fixed shape; dashes join those of what grows. Bars are 95 % intervals.

    Raises:
        ValueError: no run is finished.
    """
    rows = [row for row in record["summary"] if row["what"] == "arm" and row["n"] and "mlp" not in row["arm"]]
    if not rows:
        raise ValueError("no run of the curves is finished")
    figure = axes.figure
    axes.remove()
    for row in rows:
        # A policy's path is its own: its seconds are those that were measured, whatever else ran.
        row["seconds"] = row["quiet_seconds"] or row["cpu_seconds"]
    figure.set_size_inches(12, 8)
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    names = sorted({row["arm"] for row in rows}, key=lambda name: (not name.startswith("fixed"), name))
    fixed = [name for name in names if name.startswith("fixed")]
    for column, (cost, label) in enumerate(
        (("macs", "training FLOPs (two for a multiply-add)"), ("seconds", "CPU seconds of one core"))
    ):
        for line, (value, title) in enumerate(
            (("test_accuracy", "test accuracy, percent"), ("test_ce", "test cross-entropy, nats"))
        ):
            panel = panels[line][column]
            for name in names:
                mine = sorted((row for row in rows if row["arm"] == name), key=lambda row: row["budget"])
                scale = _TRAINING_FLOPS_OF_A_MAC if cost == "macs" else 1
                low_high = [_reach(row[value]) for row in mine]
                is_fixed = name in fixed
                colours, number = (
                    (_COLOURS, fixed.index(name)) if is_fixed else (_GROWING, names.index(name) - len(fixed))
                )
                panel.errorbar(
                    [row[cost] * scale for row in mine],
                    [row[value]["mean"] for row in mine],
                    yerr=list(zip(*low_high, strict=True)),
                    label=name,
                    color=colours[number % len(colours)],
                    marker="o" if is_fixed else "Ds^vP*"[number % 6],
                    markersize=3 if is_fixed else 5,
                    lw=1 if is_fixed else 1.4,
                    ls="-" if is_fixed else "--",
                    capsize=2,
                )
            panel.set_xscale("log")
            panel.set_ylabel(title)
            if line == 1:
                panel.set_xlabel(label)
    # A net that is far behind would press all others into one line.
    best = [max(row["test_accuracy"]["mean"] for row in rows), min(row["test_ce"]["mean"] for row in rows)]
    panels[0][0].set_ylim(best[0] - 2.2, best[0] + 0.3)
    panels[1][0].set_ylim(best[1] - 0.008, best[1] + 0.06)
    panels[0][0].set_title("Fashion-MNIST, 20k pictures: shapes that stay and shapes that grow", loc="left")
    if record["missing_runs"]:
        panels[0][1].set_title(
            f"partial: {record['missing_runs']} runs missing", loc="right", color="#b04a4a"
        )
    panels[0][1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))


def _reach(interval: dict[str, Any]) -> tuple[float, float]:
    if interval["low"] is None:
        return 0.0, 0.0
    return interval["mean"] - interval["low"], interval["high"] - interval["mean"]
