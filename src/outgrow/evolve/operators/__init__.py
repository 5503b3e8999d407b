"""The structural changes, one a file."""

__all__ = ["OPERATORS"]

from collections.abc import Callable

from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.operators.branch import branch
from outgrow.evolve.operators.deepen import deepen
from outgrow.evolve.operators.hybrid import hybrid
from outgrow.evolve.operators.insert_attention import insert_attention
from outgrow.evolve.operators.mutate import mutate
from outgrow.evolve.operators.prune import prune
from outgrow.evolve.operators.widen import widen

OPERATORS: dict[str, Callable[..., Edit]] = {
    "widen": widen,
    "prune": prune,
    "hybrid": hybrid,
    "deepen": deepen,
    "branch": branch,
    "insert_attention": insert_attention,
    "mutate": mutate,
}
"""Name in an `Edit` -> what makes it: `operator(model, site, **arguments, example_inputs=..., ...)`."""
