"""What is attached to a model's modules so that they find their weights, and taken off again."""

__all__ = ["Wiring", "groups_of", "use_order"]

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

from outgrow.capture import Call, watch
from outgrow.stream.forward import PassRunner, serialised_forward, streamed_forward, watched_forward
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.plan import Plan


class Wiring:
    """Wraps `forward` of the model, as a pass, and of every module that has streamed weights of its own.

    So it does with stacks of layers, which are called by themselves now and then (encoders, by `generate`):
    no plan may change while they run in another thread. Other modules whose weights are all resident stay as
    they are and cost nothing.
    """

    def __init__(self, model: nn.Module, weights: Sequence[LiveWeight]) -> None:
        self.model = model
        self._by_module: dict[nn.Module, list[LiveWeight]] = {}
        self._tables: dict[nn.Module, list[LiveWeight]] = {}
        for weight in weights:
            for user in weight.users:
                owned = self._by_module if not user.is_table else self._tables
                if weight not in owned.setdefault(user.module, []):
                    owned[user.module].append(weight)
        # The lists that wrapped forwards hold: emptied, not exchanged, should somebody have wrapped our
        # wrapper.
        self._bound: dict[nn.Module, list[LiveWeight]] = {}
        self._originals: dict[nn.Module, Callable[..., Any]] = {}
        self._ours: dict[nn.Module, Callable[..., Any]] = {}
        self._stacks = [module for module in model.modules() if module is not model and _is_stack(module)]

    def rewire(self, stream: PassRunner, plan: Plan) -> None:
        """Wrap what `plan` needs wrapped and unwrap what it does not."""
        for module in self._stacks:
            if module not in self._ours and module not in self._by_module:
                self._wrap(module, serialised_forward(stream, module.forward))
        for module in (*self._by_module, *self._tables):
            weights = self._by_module.get(module, [])
            # Modules whose weights come in tiles or by rows bind nothing, but torch.compile must not look
            # into them.
            needed = module in self._stacks or any(
                weight.is_streamed for weight in (*weights, *self._tables.get(module, ()))
            )
            bound = self._bound.setdefault(module, [])
            bound[:] = [weight for weight in weights if weight.is_streamed and len(weight.pieces(plan)) == 1]
            if needed and module not in self._ours and module is not self.model:
                self._wrap(module, streamed_forward(stream, bound, module.forward))
            elif not needed and module in self._ours and module is not self.model:
                self._unwrap(module)
        if self.model not in self._ours:
            # Weights of the model's own module are bound within the pass, whose beginning may change the
            # plan.
            inner = streamed_forward(stream, self._bound.setdefault(self.model, []), self.model.forward)
            self._wrap(self.model, watched_forward(stream, inner))

    def unwire(self) -> None:
        """Leave every module as it was."""
        for module in list(self._ours):
            self._bound.get(module, []).clear()
            self._unwrap(module)

    @contextlib.contextmanager
    def uses(self, seen: list[int]) -> Iterator[None]:
        """Note in `seen` the index of every weight, resident or not, whenever a module that owns it is
        called."""

        def enter(call: Call) -> None:
            seen.extend(weight.weight.index for weight in self._by_module.get(call.module, ()))

        with watch(self.model, enter=enter):
            yield

    def _wrap(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        self._originals[module] = module.__dict__.get("forward", _CLASS_FORWARD)
        self._ours[module] = forward
        module.__dict__["forward"] = forward

    def _unwrap(self, module: nn.Module) -> None:
        original, ours = self._originals.pop(module), self._ours.pop(module)
        if module.__dict__.get("forward") is not ours:
            # Somebody wrapped our wrapper: it stays below theirs, and with no weights left it does nothing.
            return
        if original is _CLASS_FORWARD:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = original


def _is_stack(module: nn.Module) -> bool:
    return any(isinstance(child, nn.ModuleList | nn.Sequential) for child in module.children())


def _CLASS_FORWARD() -> None:
    """Stand for a module whose forward is that of its class."""


def groups_of(model: nn.Module, weights: Sequence[LiveWeight]) -> list[list[int]]:
    """Weights that are in use at the same time: those of every module together with those of modules around
    it."""
    own: dict[nn.Module, list[int]] = {}
    for weight in weights:
        for user in weight.users:
            if not user.is_table:
                own.setdefault(user.module, []).append(weight.weight.index)
    groups: set[tuple[int, ...]] = set()

    def descend(module: nn.Module, around: tuple[int, ...], seen: frozenset[nn.Module]) -> None:
        together = tuple(dict.fromkeys((*around, *own.get(module, ()))))
        if len(together) > 1:
            groups.add(together)
        for child in module.children():
            if child not in seen:
                descend(child, together, seen | {child})

    descend(model, (), frozenset({model}))
    return [list(group) for group in sorted(groups)]


def use_order(model: nn.Module, weights: Sequence[LiveWeight]) -> list[int]:
    """The order in which a pass uses weights as long as nobody has seen one: that of the modules."""
    places = {module: place for place, module in enumerate(model.modules())}
    uses = sorted(
        (places[user.module], place, weight.weight.index)
        for place, weight in enumerate(weights)
        for user in weight.users
        if not user.is_table
    )
    return [index for _, _, index in uses]
