"""All figures of `compare_web`, each as a share of what it may be at most."""

__all__ = ["draw_web"]

from typing import Any

_GOOD, _MISSED, _LIMIT = "#1f6f8b", "#b5382a", "#606060"


def draw_web(axes: Any, record: dict[str, Any]) -> None:
    """Bars; one that passes 100 % is a target that was missed.

    Raises:
        ValueError: nothing was measured.
    """
    rows = record["summary"]
    if not rows:
        raise ValueError("nothing was measured")
    shares = [100 * row["measured"] / row["limit"] for row in rows]
    places = list(range(len(rows)))[::-1]
    colours = [_GOOD if row["is_reached"] else _MISSED for row in rows]
    axes.barh(places, shares, color=colours)
    for place, share, row in zip(places, shares, rows, strict=True):
        axes.annotate(
            _text(row),
            (min(share, 150), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.axvline(100, color=_LIMIT, ls="--", lw=1)
    axes.set_yticks(places, [row["question"] for row in rows], fontsize=7.5)
    axes.set(xlabel="% of what it may be at most", xlim=(0, 190))
    axes.set_title("outgrow web in a browser", loc="left")


def _text(row: dict[str, Any]) -> str:
    measured, limit = row["measured"], row["limit"]
    if row["unit"] == "bytes":
        return f"{measured / 1e6:.3g} of {limit / 1e6:.3g} MB"
    if row["unit"] == "seconds":
        return (
            f"{1e3 * measured:.3g} of {1e3 * limit:.4g} ms"
            if limit < 1
            else f"{measured:.2f} of {limit:.3g} s"
        )
    if row["unit"] == "share":
        return f"{100 * measured:.2g} of {100 * limit:.2g} %"
    return f"{measured:.2f} of {limit:.3g} {row['unit']}"
