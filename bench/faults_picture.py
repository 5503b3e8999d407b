"""How long trainings were held up by faults: the share of faults over seconds, a line for each kind."""

__all__ = ["draw_faults"]

from typing import Any

from bench.fault_injection import KINDS

_COLOURS = ("#1f6f8b", "#d08c60", "#7aa874", "#8a6fa8")


def draw_faults(axes: Any, record: dict[str, Any]) -> None:
    """Draw the seconds from each fault to the next loss, in rising order.

    Raises:
        ValueError: no training recovered.
    """
    faults = [fault for sample in record["samples"] for fault in sample.get("faults", ())]
    if not any(fault["recovery_seconds"] for fault in faults):
        raise ValueError("no recovery was measured")
    for kind, colour in zip(KINDS, _COLOURS, strict=True):
        seconds = sorted(
            fault["recovery_seconds"]
            for fault in faults
            if fault["kind"] == kind and fault["recovery_seconds"] is not None
        )
        if seconds:
            shares = [(number + 1) / len(seconds) for number in range(len(seconds))]
            axes.step(seconds, shares, where="post", color=colour, label=f"{kind} ({len(seconds)})")
    whole = record["summary"][0]
    axes.axvline(whole["recovery_seconds"]["median"], color="#606060", lw=1, ls="--")
    axes.set(xlabel="seconds from the fault to the next loss", ylabel="share of the faults", xlim=(0, None))
    axes.set_title(
        f"{whole['points']} faults in {whole['runs']} trainings on {record['ranks']} workers, "
        f"{whole['runs_with_the_same_bits']} with the same bits",
        loc="left",
    )
    axes.legend(frameon=False)
