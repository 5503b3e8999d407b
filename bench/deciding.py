"""The modules that decide: they take values and return values, and everything else acts on what they say.

What their tests look at is counted (`make coverage`), and those that are held to it are also changed in every
small way to see a test fail (`make mutants`).
"""

__all__ = ["PARTS", "Part", "modules"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "src" / "outgrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Modules that decide one thing, and the tests that belong to them."""

    name: str
    modules: Sequence[str]
    """Below `src/outgrow`, with * and ?."""
    tests: Sequence[str]
    """Below `tests`."""
    is_held: bool = False
    """Whether too little coverage is a failure, and whether the mutation run takes it."""


PARTS = (
    Part(
        name="stream plan",
        modules=["stream/plan.py"],
        tests=["stream/test_plan.py", "stream/test_least_budget.py", "stream/test_plan_promises.py"],
        is_held=True,
    ),
    Part(
        name="stream residency",
        modules=["stream/residency.py"],
        tests=[
            "stream/test_residency.py",
            "stream/test_residency_order.py",
            "stream/test_residency_check.py",
            "stream/test_residency_memory.py",
        ],
        is_held=True,
    ),
    Part(name="compare judge", modules=["compare/judge/*.py"], tests=["compare/judge"], is_held=True),
    Part(name="compare layout", modules=["compare/layout/*.py"], tests=["compare/layout"], is_held=True),
    Part(
        name="evolve coupling",
        modules=["evolve/coupling/*.py", "evolve/coupling/rules/*.py"],
        tests=["evolve/coupling"],
        is_held=True,
    ),
    Part(
        name="shard dispatch",
        modules=["shard/dispatch/dispatch_state.py"],
        tests=[
            "shard/dispatch/test_dispatch_state.py",
            "shard/dispatch/test_dispatch_turns.py",
            "shard/dispatch/test_dispatch_any_order.py",
        ],
        is_held=True,
    ),
    Part(
        name="stream window",
        modules=[
            "stream/ring.py",
            "stream/resident_set.py",
            "stream/weights.py",
            "stream/window_size.py",
            "stream/pressure.py",
        ],
        tests=[
            "stream/test_plan.py",
            "stream/test_ring.py",
            "stream/test_weights.py",
            "stream/test_window_size.py",
            "stream/test_pressure.py",
        ],
    ),
    Part(name="compare names", modules=["compare/names/*.py"], tests=["compare/names"]),
    Part(name="compare diagnosis", modules=["compare/diagnosis/*.py"], tests=["compare/diagnosis"]),
    Part(
        name="evolve sites",
        modules=["evolve/sites/*.py"],
        tests=["evolve/sites", "evolve/coupling/test_prune_sites.py", "evolve/coupling/test_refusals.py"],
    ),
    Part(
        name="evolve policies",
        modules=["evolve/policies/*.py", "evolve/measures/*.py"],
        tests=[
            "evolve/policies",
            "evolve/measures",
            "evolve/test_environment.py",
            "evolve/test_experience.py",
        ],
    ),
    Part(name="shard planner", modules=["shard/planner/*.py"], tests=["shard/planner"]),
    Part(name="shard rules", modules=["shard/rules/*.py"], tests=["shard/rules"]),
    Part(
        name="shard recovery",
        modules=["shard/recovery/recovery_state.py"],
        tests=[
            "shard/recovery/test_recovery_state.py",
            "shard/recovery/test_checkpoint_state.py",
            "shard/recovery/test_random_faults.py",
        ],
    ),
    Part(
        name="store header",
        modules=["store/header.py", "store/checkpoint.py"],
        tests=["store/test_header.py", "store/test_checkpoint.py"],
    ),
    Part(name="difference", modules=["difference/*.py"], tests=["test_difference.py"]),
)


def modules(part: Part) -> list[Path]:
    """The files of `part`, in order of their names; those without a function or class left out."""
    found = [path for pattern in part.modules for path in sorted(SOURCES.glob(pattern))]
    return [path for path in found if path.name != "__init__.py" or "def " in path.read_text()]
