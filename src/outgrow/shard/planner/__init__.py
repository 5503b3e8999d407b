"""Where the tensors of a training step should be: found, not told."""

__all__ = ["Costs", "Plan", "Problem", "make_plan"]

from outgrow.shard.planner.plan import Costs, Plan, Problem, make_plan
