"""Everything that was decided about one client's calls, and what was found out about its candidates."""

__all__ = ["Decided", "choice"]

import statistics
from collections.abc import Sequence
from typing import Any

from outgrow.shard.replay.hot_path import Choose


class Decided:
    """Decisions in force, and those of an earlier life whose call is yet to come."""

    def __init__(self, decisions: Sequence[dict[str, Any]] = ()) -> None:
        self._coming = list(decisions)
        self._tries: dict[str, dict[str, Any]] = {}
        self._uses: dict[str, dict[str, Any]] = {}
        self._banned: dict[tuple[str, int], str] = {}

    def due(self, call: int) -> list[dict[str, Any]]:
        """Logged decisions that hold from this call or an earlier one on, not yet given; in their order."""
        due = [decision for decision in self._coming if decision["call"] <= call]
        if due:
            self._coming = [decision for decision in self._coming if decision["call"] > call]
        return due

    def add(self, decision: dict[str, Any]) -> None:
        """A decision holds from now on."""
        known = self._tries if decision["kind"] == "try" else self._uses
        # The latest comes last: so `in_force` gives them, and what is taken up later has the last word.
        known.pop(decision["cycle"], None)
        known[decision["cycle"]] = decision
        for plan in decision.get("banned", ()):
            self.ban(decision["cycle"], plan, "it gave other results before these workers were started")

    def ban(self, cycle: str, plan: int, why: str) -> None:
        """A candidate gave wrong results."""
        self._banned.setdefault((cycle, plan), why)

    def start_over(self) -> None:
        """What was decided so far holds no longer, in no later life either."""
        self._tries.clear()
        self._uses.clear()
        self._banned.clear()

    def count(self, cycle: str) -> int:
        """How many candidates there are."""
        return len(self._tries[cycle]["plans"])

    def plan(self, cycle: str, plan: int) -> dict[str, Any]:
        """One of them."""
        found: dict[str, Any] = self._tries[cycle]["plans"][plan]
        return found

    def in_force(self) -> list[dict[str, Any]]:
        """What a new life needs to go on as this one would: decisions in an order in which they can be taken
        up.
        """
        return [*self._tries.values(), *self._uses.values(), *self._coming]

    def explain(self) -> list[dict[str, Any]]:
        """For each cycle its candidates, what they were predicted and measured to take, which one runs."""
        cycles = []
        for cycle, tried in self._tries.items():
            use = self._uses.get(cycle, {})
            measured = use.get("seconds", [])
            plans = []
            for number, plan in enumerate(tried["plans"]):
                own = measured[number] if number < len(measured) else []
                plans.append(
                    {
                        **{name: plan[name] for name in plan if name != "parts"},
                        "measured_seconds": min(own) if own else None,
                        "banned": self._banned.get((cycle, number)),
                    }
                )
            cycles.append(
                {
                    "cycle": cycle,
                    "calls": tried["parts"],
                    "since_call": use.get("call", tried["call"]),
                    "candidates": plans,
                    "used": use.get("plan"),
                    "is_final": bool(use.get("is_final")),
                    "notes": tried["notes"],
                }
            )
        return cycles


def choice(question: Choose) -> dict[str, Any]:
    """The decision that answers a question after a trial: whose turn it is, or who was fastest."""
    decision: dict[str, Any] = {
        "kind": "use",
        "cycle": question.key,
        "plan": question.upcoming,
        "is_final": question.upcoming is None,
        "seconds": [list(one) for one in question.seconds],
        "banned": sorted(question.banned),
    }
    if question.upcoming is None:
        measured = [
            (statistics.median(seconds), number)
            for number, seconds in enumerate(question.seconds)
            if seconds and number not in question.banned
        ]
        decision["plan"] = min(measured)[1] if measured else None
    return decision
