"""The questions that are measured, by name: `python -m bench CASE`."""

__all__ = ["CASES"]

from types import ModuleType

from bench.cases import (
    axis_matching,
    compare_speed,
    curve,
    evolve_cost,
    evolve_curves,
    evolve_exactness,
    evolve_language,
    five_times,
    floor,
    open_model,
    peers,
    plan_large,
    planted,
    record_overhead,
    run7b,
    shard_client,
    shard_dispatch,
    shard_faults,
    shard_losses,
    shard_ops,
    shard_original,
    shard_planning,
    shard_start,
    shard_step,
)

CASES: dict[str, ModuleType] = {
    "floor": floor,
    "curve": curve,
    "peers": peers,
    "open": open_model,
    "plan_large": plan_large,
    "run7b": run7b,
    "five_times": five_times,
    "compare_speed": compare_speed,
    "planted": planted,
    "axis_matching": axis_matching,
    "record_overhead": record_overhead,
    "evolve_cost": evolve_cost,
    "evolve_curves": evolve_curves,
    "evolve_exactness": evolve_exactness,
    "evolve_language": evolve_language,
    "shard_client": shard_client,
    "shard_dispatch": shard_dispatch,
    "shard_faults": shard_faults,
    "shard_losses": shard_losses,
    "shard_ops": shard_ops,
    "shard_original": shard_original,
    "shard_planning": shard_planning,
    "shard_start": shard_start,
    "shard_step": shard_step,
}
