"""One random sequence of changes on one model: made, judged on inputs it has not seen, and taken back."""

__all__ = ["run_sequence"]

import random
import time
from typing import Any

import torch
from torch import Tensor, nn

from bench.evolve_exactness.small_models import Subject
from outgrow import evolve
from outgrow.errors import OutgrowError
from outgrow.evolve.operators import OPERATORS
from outgrow.evolve.sites.finding import KINDS

_LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}
_JUDGED_ON = 10_000
"""Seed of inputs that no operator has seen."""


def run_sequence(subject: Subject, dtype: torch.dtype, length: int, seed: int) -> dict[str, Any]:
    """What came of it: each change with its outcome, whether all came back, what new units did."""
    began = time.perf_counter()
    draw = random.Random(seed)
    model = subject.model.to(dtype).eval()
    seen, unseen = (_as_dtype(subject.inputs(one), dtype) for one in (seed, _JUDGED_ON + seed))
    weights = _weights(model)
    outcomes: list[dict[str, Any]] = []
    edits: list[Any] = []
    is_transaction = bool(draw.getrandbits(1))
    learned: dict[str, int] = {"moved": 0, "still": 0}

    def change() -> None:
        for _ in range(length):
            outcome, edit, site = _one_change(model, seen, unseen, dtype, draw)
            outcomes.append(outcome)
            if edit is not None:
                edits.append(edit)
            if edit is not None and edit.operator == "widen" and outcome["verdict"] == "exact":
                for name, count in _learn(model, seen, site, edit).items():
                    learned[name] += count

    if is_transaction:
        with evolve.transaction(model) as whole:
            change()
            whole.rollback()
    else:
        change()
        for edit in reversed(edits):
            edit.undo(model)
    after = _weights(model)
    is_back = weights.keys() == after.keys() and all(torch.equal(weights[n], after[n]) for n in weights)
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "seed": seed,
        "taken_back_by": "transaction" if is_transaction else "undo",
        "is_back": is_back,
        "changes": outcomes,
        "new_units": learned,
        "seconds": time.perf_counter() - began,
    }


def _one_change(
    model: nn.Module, seen: Any, unseen: Any, dtype: torch.dtype, draw: random.Random
) -> tuple[dict[str, Any], Any, Any]:
    kind = draw.choice([kind for kind in KINDS if kind in OPERATORS])
    known = evolve.sites(model, seen, kind=kind)
    if not known:
        return {"operator": kind, "verdict": "no site"}, None, None
    site = draw.choice(known)
    arguments = _arguments(kind, site, draw)
    before = _outputs(model, unseen)
    row: dict[str, Any] = {"operator": kind, "site": site.name, "arguments": arguments}
    try:
        edit = OPERATORS[kind](model, site, **arguments)
    except OutgrowError as error:
        row |= {"verdict": "refused", "reason": f"{type(error).__name__}: {error.message}"}
        if not _same(before, _outputs(model, unseen)):
            row["verdict"] = "wrong"
        return row, None, None
    moved = _moved(before, _outputs(model, unseen))
    row |= {"promise": edit.promise, "moved": moved, "reported": edit.change}
    row["verdict"] = edit.promise if edit.promise != "exact" or moved <= _LIMITS[dtype] else "wrong"
    return row, edit, site


def _arguments(kind: str, site: Any, draw: random.Random) -> dict[str, Any]:
    seed = draw.randrange(1 << 16)
    if kind == "widen":
        return {"by": site.step * draw.randint(1, 3), "method": draw.choice(site.methods), "seed": seed}
    if kind == "prune":
        return {"amount": site.step}
    return {}


def _learn(model: nn.Module, seen: Any, site: Any, edit: Any) -> dict[str, int]:
    """Two steps of Adam, taken back again: do copies part, and do outgoing zeros move?"""
    named = dict(model.named_parameters())
    role = {"split": "out", "duplicate": "out", "zero_outgoing": "in", "pad": "out"}[edit.arguments["method"]]
    places = [one for one in site.coupled if one.role == role and one.weight in named]
    places = [one for one in places if named[one.weight].dim() > 1][:1]
    if not places:
        return {}
    weight, dim = named[places[0].weight], places[0].dim

    def idle() -> int:
        rows = weight.detach().movedim(dim, 0).flatten(1)
        if role == "in" or edit.arguments["method"] == "pad":
            return int((rows == 0).all(1).sum())
        return len(rows) - len(rows.unique(dim=0))

    before = idle()
    with evolve.transaction(model) as trial:
        model.train()
        optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            outputs = [one for one in _outputs(model, seen, grad=True) if one.is_floating_point()]
            sum(((one - 1) ** 2).mean() for one in outputs).backward()  # type: ignore[union-attr]
            optimizer.step()
        after = idle()
        trial.rollback()
    return {"moved": before - after, "still": after}


def _outputs(model: nn.Module, inputs: Any, *, grad: bool = False) -> list[Tensor]:
    with torch.set_grad_enabled(grad):
        output = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    if isinstance(output, Tensor):
        return [output]
    values = [output[name] for name in output if name != "past_key_values"]
    return [one for one in values if isinstance(one, Tensor)]


def _moved(before: list[Tensor], after: list[Tensor]) -> float:
    if len(before) != len(after) or any(a.shape != b.shape for a, b in zip(before, after, strict=True)):
        return float("inf")
    apart = [
        float((b.double() - a.double()).abs().max() / a.double().abs().max())
        for a, b in zip(before, after, strict=True)
    ]
    return max(one if one == one else float("inf") for one in apart)


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in [*model.named_parameters(), *model.named_buffers()]}


def _as_dtype(inputs: Any, dtype: torch.dtype) -> Any:
    if isinstance(inputs, dict):
        return {name: _as_dtype(one, dtype) for name, one in inputs.items()}
    return inputs.to(dtype) if inputs.is_floating_point() else inputs
