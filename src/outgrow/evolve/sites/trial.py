"""Grow a model for a moment, run it, compare, and take it back: what is listed has been seen to work."""

__all__ = ["Trial"]

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from outgrow.capture import Call, watch
from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.sites.attention_paths import has_fused_attention, unfused_attention
from outgrow.evolve.sites.site import SizeAttribute
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.surgery.width import Units, change_width
from outgrow.evolve.transactions.undisturbed import undisturbed

_INSIDE = 1e4
"""How much further than the outputs the tensors inside may move: small ones round more."""
_NEAR = 100.0
"""How much further than rounding the outputs may move for it to be rounding still, in a model that makes it
large."""
_ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    outputs: dict[str, Tensor]
    inside: list[tuple[str, list[Tensor]]]
    """What each module gave, in the order in which they were called."""


class Trial:
    """One model with one call, run once as it is; changes of it are then held against that."""

    def __init__(
        self,
        model: nn.Module,
        inputs: ExampleInputs,
        coupling: Coupling,
        *,
        loosely: bool = False,
        unfused: bool = False,
    ) -> None:
        """`loosely`: the wiring has to be right, not the last digits, as something will be lost anyway.

        `unfused`: with attention computed op by op.
        """
        self._path = partial(unfused_attention, model) if unfused else contextlib.nullcontext
        self._loosely = loosely
        self._model = model
        self._inputs = inputs
        self._coupling = coupling
        self._before = self._observe()
        dtypes = {tensor.dtype for tensor in model.parameters()} & _ROUNDING.keys()
        self._rounding = max((_ROUNDING[dtype] for dtype in dtypes), default=1e-5)
        if loosely:
            self._rounding = max(self._rounding * 10, 1e-4)
        self.is_near = False
        """Whether the last change that was tried ran, and moved the outputs by little more than rounding."""

    @cached_property
    def otherwise(self) -> "Trial | None":
        """The same with attention computed op by op; None where there is no such way."""
        if not has_fused_attention(self._model):
            return None
        try:
            return Trial(self._model, self._inputs, self._coupling, loosely=self._loosely, unfused=True)
        except Exception:  # noqa: BLE001, RUF100 - the model cannot, so that nobody will
            return None

    def grows(self, leaf: Extent, method: str, attributes: Iterable[SizeAttribute] = ()) -> bool:
        """Whether the model gives the same with a larger `leaf`; the model is left as it was.

        Not only the outputs are compared but whatever any module gives in an unchanged shape: behind a layer
        that starts at zero a mistake would not reach the outputs yet.

        Args:
            leaf: what is to grow: by one unit, to the double for `duplicate`.
            method: `split`, `duplicate`, `zero_outgoing` or `pad`.
            attributes: numbers in modules that are changed with it.
        """
        # Three times is tried where rounding is held to the last digit: a norm that computes in float32
        # within a float64 model may be lucky with two.
        most = 3 if method == "duplicate" and self._rounding < 1e-10 else 2
        return all(self._is_same_with(leaf, method, attributes, times) for times in range(2, most + 1))

    def _is_same_with(
        self, leaf: Extent, method: str, attributes: Iterable[SizeAttribute], times: int
    ) -> bool:
        units = leaf.size * times if method == "duplicate" else leaf.size + 1
        sources = torch.arange(units) % leaf.size
        after = self._after(leaf, Units(sources=sources, kept=leaf.size, method=method), attributes)
        self.is_near = after is not None and self._moved(after) <= self._rounding * _NEAR
        return after is not None and self._same(after)

    def shrinks(self, leaf: Extent, attributes: Iterable[SizeAttribute] = ()) -> bool:
        """Whether the model runs without the last unit of `leaf`, and gives outputs of the same shapes."""
        sources = torch.arange(leaf.size - 1)
        after = self._after(leaf, Units(sources=sources, kept=len(sources)), attributes)
        if after is None:
            return False
        before = {name: tensor.shape for name, tensor in self._before.outputs.items()}
        return before == {name: tensor.shape for name, tensor in after.outputs.items()}

    def _after(self, leaf: Extent, change: Units, attributes: Iterable[SizeAttribute]) -> _Observed | None:
        """What the model gives with another width; None where it raises."""
        surgery = Surgery(self._model, trial=True)
        try:
            change_width(surgery, self._coupling, leaf, change, attributes)
            return self._observe()
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception:  # noqa: BLE001, RUF100 - whatever a model raises then, it means no
            return None
        finally:
            surgery.take_back()

    def _observe(self) -> _Observed:
        inside: list[tuple[str, list[Tensor]]] = []

        def leave(call: Call, output: Any, _error: BaseException | None) -> None:
            tensors = [one for one in tree_leaves(output) if isinstance(one, Tensor)]
            inside.append((call.name, tensors))

        with self._path(), undisturbed(self._model), torch.no_grad(), watch(self._model, leave=leave):
            self._model.eval()
            outputs = output_tensors(self._inputs.call(self._model))
        return _Observed(outputs=outputs, inside=inside)

    def _moved(self, after: _Observed) -> float:
        return relative_change(after.outputs, self._before.outputs)

    def _same(self, after: _Observed) -> bool:
        before = self._before
        if not self._moved(after) <= self._rounding:
            return False
        if [name for name, _ in before.inside] != [name for name, _ in after.inside]:
            return False
        for (_, one), (_, two) in zip(before.inside, after.inside, strict=True):
            for expected, actual in zip(one, two, strict=False):
                if expected.is_nested or actual.is_nested:  # the parts of an encoder that skips its padding
                    continue
                if expected.shape == actual.shape and expected.is_floating_point():
                    change = relative_change({"": actual}, {"": expected})
                    if not change <= self._rounding * _INSIDE:
                        return False
        return True
