"""Remember everything that training changes, and put it back in place, bit for bit."""

__all__ = ["Snapshot"]

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.surgery.surgery import set_contents
from outgrow.evolve.transactions.random_state import RandomState

_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, type, range, slice,
    torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format,
    FunctionType, BuiltinFunctionType, MethodType, ModuleType,
)  # fmt: skip
"""What is never walked into: nothing in it is changed by training."""

_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
"""Where tensors keep what is to be called with their gradients; it is in no `__dict__`."""

Undo = Callable[[], None]


class Snapshot:
    """What models, optimizers, schedulers and whatever hangs on them hold at one moment.

    Everything is walked once from the roots: modules, optimizers, other objects with attributes, dicts,
    lists, sets and tensors, each by identity. `put_back` gives each of them back what it held, in place: who
    holds a parameter, a module or a dict goes on holding the same one. Random numbers are put back, too.

    Tensors are copied, once each, to `device`; their own memory is used again when they are put back, also
    where they have been given other contents meanwhile.
    """

    def __init__(self, *roots: Any, device: torch.device | str | None = "cpu") -> None:
        """Take it.

        Args:
            roots: what is to be remembered, with all that hangs on it.
            device: where the copies of tensors lie; None for where each tensor is.
        """
        self._device = None if device is None else torch.device(device)
        self._undo: list[Undo] = []
        self._seen: dict[int, Any] = {}
        self.nbytes = 0
        """Bytes of the copies."""
        waiting = deque(roots)
        self._roots = {id(root) for root in roots}
        while waiting:
            waiting.extend(self._remember(waiting.popleft()))
        self.random_state = RandomState.now()
        """The random numbers of then."""

    def put_back(self) -> None:
        """Let everything hold what it held; may be called again, also after Ctrl-C in the midst of it."""
        with torch.no_grad():
            for undo in self._undo:
                undo()
        self.random_state.put_back()

    def _remember(self, thing: Any) -> list[Any]:
        """Remember one thing, and say what it holds."""
        if isinstance(thing, _PLAIN) or id(thing) in self._seen:
            return []
        # Kept, so that no other thing gets its id.
        self._seen[id(thing)] = thing
        if isinstance(thing, Tensor):
            return self._remember_tensor(thing)
        if isinstance(thing, torch.Generator):
            state = thing.get_state()
            self._undo.append(lambda: _void(thing.set_state(state)))
            return []
        if isinstance(thing, random.Random):
            drawn = thing.getstate()
            self._undo.append(lambda: thing.setstate(drawn))
            return []
        held = list(self._remember_contents(thing))
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict) and (id(thing) in self._roots or _is_open(thing)):
            held += self._remember_mapping(attributes)
        return held

    def _remember_contents(self, thing: Any) -> Iterator[Any]:
        if isinstance(thing, dict):
            yield from self._remember_mapping(thing)
        elif isinstance(thing, list | deque):
            held = list(thing)
            self._undo.append(lambda: _refill(thing, held))
            yield from held
        elif isinstance(thing, set):
            members = set(thing)

            def refill() -> None:
                thing.clear()
                thing.update(members)

            self._undo.append(refill)
            yield from members
        elif isinstance(thing, tuple | frozenset):
            yield from thing
        elif _is_numpy_array(thing):
            copy = thing.copy()
            self._undo.append(lambda: thing.__setitem__(..., copy))
        elif _is_numpy_generator(thing):
            state = thing.bit_generator.state
            self._undo.append(lambda: setattr(thing.bit_generator, "state", state))

    def _remember_mapping(self, mapping: dict[Any, Any]) -> list[Any]:
        before = dict(mapping)

        def refill() -> None:
            if not _is_same(mapping, before):
                mapping.clear()
                mapping.update(before)

        self._undo.append(refill)
        # Tensors are keys in the state of an optimizer.
        return [*before.values(), *(key for key in before if isinstance(key, Tensor))]

    def _remember_tensor(self, tensor: Tensor) -> list[Any]:
        if tensor.layout != torch.strided or tensor.device.type == "meta":
            return []
        own = tensor.data
        copy = own.to(self._device or own.device, copy=True)
        self.nbytes += copy.nbytes
        gradient = tensor.grad if tensor.is_leaf else None
        needs_grad = tensor.requires_grad
        hooks = {name: dict(getattr(tensor, name) or {}) for name in _HOOKS} if tensor.is_leaf else {}

        def put_back() -> None:
            if tensor.data_ptr() != own.data_ptr() or tensor.shape != own.shape:
                set_contents(tensor, own)
            own.copy_(copy)
            if tensor.is_leaf:
                if tensor.requires_grad != needs_grad:
                    tensor.requires_grad_(needs_grad)
                tensor.grad = gradient
            for name, before in hooks.items():
                now = getattr(tensor, name)
                if now is not None and not _is_same(now, before):
                    now.clear()
                    now.update(before)

        self._undo.append(put_back)
        held: list[Any] = [] if gradient is None else [gradient]
        attributes = getattr(tensor, "__dict__", None)
        if attributes:
            held += self._remember_mapping(attributes)
        return held


def _is_same(one: dict[Any, Any], two: dict[Any, Any]) -> bool:
    """Whether two dicts hold the same things in the same order."""
    return len(one) == len(two) and all(
        mine is own and one[mine] is two[own] for mine, own in zip(one, two, strict=True)
    )


def _is_open(thing: Any) -> bool:
    """Whether something with attributes is walked into: what users, torch.nn and torch.optim define."""
    module = type(thing).__module__
    if module.partition(".")[0] == "torch":
        return isinstance(thing, nn.Module) or module.startswith(
            ("torch.nn", "torch.optim", "torch.amp", "torch.cuda.amp")
        )
    return module.partition(".")[0] not in sys.stdlib_module_names or isinstance(thing, SimpleNamespace)


def _refill(sequence: Any, held: list[Any]) -> None:
    sequence.clear()
    sequence.extend(held)


def _void(_: object) -> None:
    pass


def _is_numpy_array(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.ndarray) and thing.flags.writeable


def _is_numpy_generator(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.random.Generator)
