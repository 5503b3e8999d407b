"""What workers answer to `explain`, made from plans."""

from collections.abc import Sequence
from typing import Any

from outgrow.shard.planner.plan import Plan


def answer(plans: Sequence[Plan], world_size: int, **changes: Any) -> dict[str, Any]:
    """One cycle whose candidates are `plans`; the first one runs."""
    candidates = [
        {
            "kind": plan.kind,
            "predicted_seconds": plan.predicted_seconds,
            "state_bytes": plan.state_bytes,
            "notes": list(plan.notes),
            "details": dict(plan.details),
            "measured_seconds": plan.predicted_seconds * 1.1,
            "banned": None,
        }
        for plan in plans
    ]
    cycle = {"cycle": "c", "calls": ["a"], "since_call": 4, "used": 0, "is_final": True, "notes": []}
    return {"world_size": world_size, "cycles": [{**cycle, "candidates": candidates, **changes}]}
