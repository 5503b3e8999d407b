"""What the result files say, in the words in which pages quote it."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PREFIX = "amd-epyc-2c-24g-2026-11-20-"


@cache
def result(name: str) -> Any:
    return json.loads((ROOT / "bench" / "results" / f"{PREFIX}{name}.json").read_text())


def entry(name: str, /, **wanted: object) -> Any:
    """The one entry of a summary that has these values."""
    (found,) = (
        one for one in result(name)["summary"] if all(one.get(key) == value for key, value in wanted.items())
    )
    return found


def floor(percent: int, figure: str = "floor_ratio") -> float:
    return entry("floor", label=f"outgrow {percent}%")[figure]["median"]


def faster(peer: str, percent: int = 45) -> float:
    return entry(f"peers-{percent}", peer=peer)["times_faster"]["median"]


def of_ddp(model: str, column: str) -> float:
    name = "shard_step_vocabulary" if model == "vocabulary" else "shard_step"
    return result(name)["summary"][model]["of ddp"][column]


def known() -> Any:
    return result("evolve_exactness")["summary"]["known"]


def exact_changes() -> int:
    return sum(found.get("exact", 0) for found in known()["changes"].values())


def curves(what: str, **wanted: object) -> list[Any]:
    found = [one for one in result("evolve_curves")["summary"] if one["what"] == what]
    return [one for one in found if all(one.get(key) == value for key, value in wanted.items())]


def sweep() -> list[float]:
    """The growing run less the best width, at each budget."""
    found = curves("gate C", best_width_chosen_on="test")
    return [one["comparison"]["mean"] for one in found]


def seconds_lost() -> list[float]:
    return [-one["difference"] for one in curves("at equal seconds", arm="cooldown")]


def accuracy(arm: str) -> float:
    (found,) = curves("arm", arm=arm, budget=1.0)
    return found["test_accuracy"]["mean"]


def regret(policy: str) -> str:
    return f"{entry('evolve_decisions', policy=policy)['validation_share_of_uniform']:.0%}".replace("%", " %")


def planted(figure: str) -> str:
    return f"{entry('planted', what='faults', name='all')[figure] * 100:.1f} %"


def alarms(*kinds: str) -> tuple[int, int]:
    """False alarms of these kinds of clean pairs, and how many pairs there are."""
    found = [entry("planted", what="clean_kind", name=kind) for kind in kinds]
    return sum(one["words"].get("false_alarm", 0) for one in found), sum(one["cases"] for one in found)


def dumps(figure: str, cache: str) -> float:
    return entry("compare_speed", dtype="float32", cache=cache)[figure]["median"]


def web(question: str) -> float:
    return entry("compare_web", question=question)["measured"]


def percent(share: float, digits: int = 0) -> str:
    return f"{share * 100:.{digits}f} %"


def of(pair: tuple[int, int]) -> str:
    return f"{pair[0]:,} of {pair[1]:,}"


def short_exponent(value: float) -> str:
    return re.sub(r"e-0?", "e-", f"{value:.0e}")


def ops() -> Any:
    return entry("shard_ops", database="op", world_size=2)


def original(setup: str) -> Any:
    return entry("shard_original", setup=setup)


def ready(workers: int) -> float:
    return entry("shard_start", workers=workers)["ready_seconds"]["median"]


def surgery(site: str) -> float:
    return result("evolve_cost")["summary"]["surgery"][site]["surgery"]


def layouts(group: str) -> Any:
    return entry("axis_matching", group=group)


def steps_of_torch(model: str) -> str:
    return f"{result('shard_step')['summary'][model]['of torch']['one worker, compiled']:.2f}"


def lead(comparison: Any) -> str:
    return f"{comparison['mean']:+.2f} [{comparison['low']:+.2f}, {comparison['high']:+.2f}]"
