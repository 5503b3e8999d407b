"""Do the edits of a finished run again from its first weights, and hold the outcome against what it left."""

__all__ = ["Replayed", "replay_run"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.archive import load, replay
from outgrow.evolve.archive.loading import example_inputs_of, fill_weights
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.run.growing_run import ARCHIVE_NAME
from outgrow.evolve.run.layers import layers_of
from outgrow.evolve.run.models import make_model
from outgrow.evolve.run.run_folder import read_log, read_pictures_shape, read_run
from outgrow.evolve.transactions.undisturbed import undisturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of doing the edits of a run again."""

    edits: tuple[Mapping[str, Any], ...]
    """For each: `label`, `promise`, `change` (of the outputs, at this time), and `widths_agree`."""
    shapes_agree: bool
    """Whether every weight has the shape that the run left it with."""
    outputs_agree: bool
    """Whether the model, with the weights of the run, gives the bits that the archive's graph gives."""
    max_abs: float
    """The largest difference of an output; infinite where shapes differ."""

    @property
    def is_proved(self) -> bool:
        """Whether all of it agrees."""
        widths = all(edit["widths_agree"] for edit in self.edits)
        return widths and self.shapes_agree and self.outputs_agree


def replay_run(folder: Path) -> Replayed:
    """Make the model of a finished run anew, do its edits again, and compare shapes, widths and outputs.

    Raises:
        InputError: there is no run, it is not finished, or its script is gone.
        ArchiveCorrupt: its model is damaged.
        StoreError: something cannot be read.
    """
    configuration, entries = read_run(folder), read_log(folder)
    path = folder / ARCHIVE_NAME
    if not path.exists():
        raise InputError(
            f"the run in {str(folder)!r} is not finished",
            hint="go on with it: the same `outgrow evolve run` command again",
        )
    archived: Any = load(path)
    shape, classes = read_pictures_shape(folder)
    model = make_model(configuration.model, shape=shape, classes=classes, seed=configuration.seed)
    inputs = example_inputs_of(path)
    # Entry after entry, as the log has them: what was made and not taken back later.
    made = [entry for entry in entries if entry["kind"] == "decision" and entry["is_made"]]
    for entry in entries:
        if entry["kind"] == "rollback":
            made = [one for one in made if one["number"] != entry["number"] or one["flops"] > entry["flops"]]
    edits = []
    for number, edit in enumerate(archived.edits):
        (again,) = replay(model, [edit], example_inputs=inputs, allow="lossy")
        logged = made[number]["layers"] if number < len(made) else None
        widths = [[layer.name, layer.width] for layer in layers_of(model)]
        expected = None if logged is None else [[layer["name"], layer["width"]] for layer in logged]
        edits.append(
            {
                "label": made[number]["label"] if number < len(made) else f"{edit.operator} {edit.site}",
                "promise": edit.promise,
                "change": again.change,
                "widths_agree": widths == expected,
            }
        )
    shapes_agree = _shapes(model) == _shapes(archived)
    max_abs = float("inf")
    if shapes_agree:
        fill_weights(model, archived.weights())
        max_abs = _apart(model.eval(), archived, inputs)
    return Replayed(
        edits=tuple(edits), shapes_agree=shapes_agree, outputs_agree=max_abs == 0.0, max_abs=max_abs
    )


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _apart(model: nn.Module, archived: nn.Module, inputs: Any) -> float:
    with undisturbed(model), undisturbed(archived), torch.no_grad():
        one, other = (output_tensors(inputs.call(each.eval())) for each in (model, archived))
    if [tensor.shape for tensor in one.values()] != [tensor.shape for tensor in other.values()]:
        return float("inf")
    pairs = zip(one.values(), other.values(), strict=True)
    return max((float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel()), default=0.0)
