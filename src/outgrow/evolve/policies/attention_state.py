"""A run of training as the learned policy reads it: figures of each layer, figures of the run, a mask."""

__all__ = ["LAYER_FIGURES", "OPERATORS", "RUN_FIGURES", "AttentionState", "RunFigures", "encode", "stack"]

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_figures import LayerFigures

OPERATORS = ("widen", "prune")
"""What can be done to a layer, in the order of the scores; doing nothing comes before all of them."""
_KINDS = ("convolution", "linear", "attention")
LAYER_FIGURES = (
    *_KINDS,
    "position",
    "is_last",
    "width",
    "parameter_share",
    "mac_share",
    "gradient",
    "redundancy",
    "is_frozen",
)
"""The columns of `AttentionState.layers`."""
RUN_FIGURES = (
    "progress",
    "samples_left",
    "loss",
    "loss_of_chance",
    "gap",
    "drop",
    "parameters",
    "macs",
)
"""The columns of `AttentionState.run`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """How a run stands when it is decided."""

    progress: float
    """The share of the budget that is spent, 0 to 1."""
    samples_left: float
    """How many samples the rest of the budget pays for, trained at what the model costs now."""
    validation: float
    """Loss on the validation split, nats."""
    previous: float
    """The same at the decision before; the present one where there was none."""
    train: float
    """Loss on what is trained on, nats."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttentionState:
    """What one decision is made on; float32, on the CPU until it is moved.

    A batch of them has one more dim in front, and rows of zeros where a model has fewer layers.
    """

    run: Tensor
    """`[8]`, see RUN_FIGURES."""
    layers: Tensor
    """`[layers, 11]`, see LAYER_FIGURES."""
    mask: Tensor
    """bool `[1 + layers * operators]`: what may be done. First nothing, which always may; then every operator
    of the first layer, and so on."""
    present: Tensor
    """bool `[layers]`: which rows are layers."""

    def to(self, device: torch.device | str) -> "AttentionState":
        """The same on another device."""
        return AttentionState(
            run=self.run.to(device),
            layers=self.layers.to(device),
            mask=self.mask.to(device),
            present=self.present.to(device),
        )


def encode(
    layers: Sequence[LayerFigures], run: RunFigures, valid: Collection[tuple[str, str]]
) -> AttentionState:
    """Figures as numbers of about unit size, logarithms where they differ by orders of magnitude.

    Args:
        layers: in the order in which they run.
        run: how the run stands.
        valid: pairs of operator and name of a layer that may be chosen; others are masked.

    Raises:
        InputError: there is no layer, or a pair names an operator or a layer that is not there.
    """
    names = [layer.name for layer in layers]
    if unknown := [pair for pair in valid if pair[0] not in OPERATORS or pair[1] not in names]:
        raise InputError(
            f"{unknown[0][0]} of {unknown[0][1]!r} is no action",
            hint=f"operators are {', '.join(OPERATORS)}; layers are {', '.join(names)}",
        )
    if not layers:
        raise InputError("no layer of the model holds a matrix", hint="a learned policy needs one to change")
    parameters = sum(layer.parameters for layer in layers)
    macs = sum(layer.macs for layer in layers)
    rows = []
    for index, layer in enumerate(layers):
        rows.append(
            [
                *(float(layer.kind == kind) for kind in _KINDS),
                index / max(1, len(layers) - 1),
                float(index == len(layers) - 1),
                math.log2(max(1, layer.width)) / 8,
                layer.parameters / max(1, parameters),
                layer.macs / max(1.0, macs),
                _log10(layer.gradient) / 2,
                layer.redundancy,
                float(layer.is_frozen),
            ]
        )
    chance = math.log(max(2, layers[-1].width))
    figures = [
        run.progress,
        _log10(run.samples_left) / 4 - 1,
        _log10(run.validation),
        run.validation / chance,
        (run.validation - run.train) / chance,
        (run.previous - run.validation) / max(run.previous, 1e-6),
        _log10(parameters) / 4 - 1,
        _log10(macs) / 4 - 1,
    ]
    mask = [(operator, name) in valid for name in names for operator in OPERATORS]
    return AttentionState(
        run=torch.tensor(figures, dtype=torch.float32).clamp(-4, 4),
        layers=torch.tensor(rows, dtype=torch.float32).clamp(-4, 4),
        mask=torch.tensor([True, *mask]),
        present=torch.ones(len(layers), dtype=torch.bool),
    )


def stack(states: Sequence[AttentionState]) -> AttentionState:
    """A batch of states, the shorter ones filled up with rows that are not present and cannot be chosen."""
    most = max(len(state.layers) for state in states)
    if all(len(state.layers) == most for state in states):
        return AttentionState(
            run=torch.stack([state.run for state in states]),
            layers=torch.stack([state.layers for state in states]),
            mask=torch.stack([state.mask for state in states]),
            present=torch.stack([state.present for state in states]),
        )
    each = len(OPERATORS)
    layers = torch.zeros(len(states), most, len(LAYER_FIGURES))
    mask = torch.zeros(len(states), 1 + most * each, dtype=torch.bool)
    present = torch.zeros(len(states), most, dtype=torch.bool)
    for row, state in enumerate(states):
        count = len(state.layers)
        layers[row, :count] = state.layers
        mask[row, : 1 + count * each] = state.mask
        present[row, :count] = state.present
    return AttentionState(
        run=torch.stack([state.run for state in states]), layers=layers, mask=mask, present=present
    )


def _log10(value: float) -> float:
    return math.log10(min(max(value, 1e-8), 1e16))
