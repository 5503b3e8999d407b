"""The outcomes of planted faults as bars, a kind each."""

__all__ = ["draw_planted"]

from typing import Any

_COLOURS = {
    "exact": "#1f6f8b",
    "near": "#7fb3c4",
    "early": "#d08c60",
    "late": "#e3b999",
    "missed": "#b04a4a",
    "insufficient": "#8a6fa8",
    "crash": "#303030",
}
_BELOW = "#d0d0d0"


def draw_planted(axes: Any, record: dict[str, Any]) -> None:
    """Shares of each kind's cases; what lies below rounding is grey, whatever was said of it.

    Raises:
        ValueError: there is no fault in the record.
    """
    rows = [row for row in record["summary"] if row["what"] == "kind"]
    if not rows:
        raise ValueError("no fault was planted")
    axes.figure.set_size_inches(7, 2 + 0.19 * len(rows))
    places = list(range(len(rows)))[::-1]
    lefts = [0.0] * len(rows)
    for word, colour in (*_COLOURS.items(), ("below rounding", _BELOW)):
        widths = [_share(row, word) for row in rows]
        if any(widths):
            axes.barh(places, widths, left=lefts, color=colour, label=word, height=0.8)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.set_yticks(places, [row["name"].replace("_", " ") for row in rows], fontsize=7)
    axes.set(xlabel="share of the cases", xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4))
    total = next(row for row in record["summary"] if row["what"] == "faults")
    first, end = record["seeds"]
    axes.set_title(
        f"First tensor named exactly: {_percent(total['exact_rate_above_rounding'])} of "
        f"{total['cases'] - total['below_rounding']} faults above rounding,\n"
        f"{_percent(total['exact_rate'])} of all {total['cases']} (seeds {first}..{end - 1})",
        loc="left",
        fontsize=10,
    )
    axes.legend(
        frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.5 / (0.19 * len(rows) + 1))
    )


def _share(row: dict[str, Any], word: str) -> float:
    if word == "below rounding":
        return float(row["below_rounding"]) / row["cases"]
    return float(row["words"].get(word, 0) - row["words_below_rounding"].get(word, 0)) / row["cases"]


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{100 * rate:.1f} %"
