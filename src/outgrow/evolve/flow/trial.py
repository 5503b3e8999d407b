"""Make an insertion for a moment, look whether the model still does what it did, and take it back."""

__all__ = ["Trial", "try_insertion"]

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from outgrow.evolve.edits.outputs import output_tensors, relative_change
from outgrow.evolve.edits.promise import rounding_of
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.insertion import Inserted, Insertion
from outgrow.evolve.flow.recording import Flow, record_flow
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.transactions.undisturbed import undisturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was seen of a change that is no longer there."""

    refused: str = ""
    """Why it cannot be made; empty where all is well."""
    change: float = 0.0
    """How far the outputs moved, relatively."""
    noted_depth: bool = False
    """Whether a configuration, or the module around, was told of it."""


def try_insertion(
    model: nn.Module,
    inputs: ExampleInputs,
    before: Flow,
    insertion: Insertion,
    *,
    used: Collection[str] | None = None,
) -> Trial:
    """Change `model`, run it, and take the change back, whatever happens.

    Args:
        model: the model.
        inputs: what it is called with.
        before: what flowed through it before.
        insertion: the change.
        used: where given, every new module has to give what it gets, bit for bit, and to use these of its
            own weights: others would never learn.
    """
    surgery = Surgery(model, trial=True)
    done = Inserted(noted_depth=True)
    try:
        done = insertion.apply(surgery)
        after = record_flow(model, inputs, compare=done.new if used is not None else ())
        rounding = rounding_of(model)
        past = _without_effect(model, inputs, before, [new for new, _ in surgery.added])
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001, RUF100 - whatever a model raises then, it is the answer
        return Trial(
            refused=f"the model then raises {type(error).__name__}: {error}", noted_depth=done.noted_depth
        )
    finally:
        surgery.take_back()
    refused = _not_run(before, after, done) or _not_alive(after, done, used) or past
    change = relative_change(after.outputs, before.outputs)
    if not refused and not change <= rounding:
        refused = f"the outputs would move by {change:.1e} relatively"
    return Trial(refused=refused, change=change, noted_depth=done.noted_depth)


def _without_effect(model: nn.Module, inputs: ExampleInputs, before: Flow, new: list[nn.Parameter]) -> str:
    """Whether other numbers in the new weights, which are thrown away anyway, leave the outputs as they are.

    Run without hooks and gradients: torch's own encoder layers then go another way, past their parts.
    """
    if not new:
        return ""
    generator = torch.Generator().manual_seed(0)
    for parameter in new:
        # No constant: a norm behind it would take that away.
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.add_(noise.to(parameter))
    with undisturbed(model), torch.no_grad():
        model.eval()
        outputs = output_tensors(inputs.call(model))
    # Another way through a model rounds otherwise; noise of that size is no rounding.
    if relative_change(outputs, before.outputs) <= rounding_of(model):
        return "the model would go past the new layers where it runs without gradients"
    return ""


def _not_run(before: Flow, after: Flow, done: Inserted) -> str:
    ran = Counter(call.name for call in after.calls)
    idle = [name for name in done.new if not ran[name]]
    if idle:
        return f"the model would not call {', '.join(idle)}"
    for name, count in Counter(call.name for call in before.calls).items():
        now = done.renamed.get(name, name)
        if ran[now] != count:
            return f"{now} would be called {ran[now]} times, and {name} is called {count} times"
    return ""


def _not_alive(after: Flow, done: Inserted, used: Collection[str] | None) -> str:
    if used is None:
        return ""
    for call in after.calls:
        if call.name in done.new:
            if not call.is_identity:
                return f"{call.name} would not give what it gets"
            idle = {f"{call.name}.{name}" for name in used} - call.weights()
            if idle:
                return f"nothing would use {min(idle)}"
    return ""
