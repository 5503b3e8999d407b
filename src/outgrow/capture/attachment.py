"""The hooks that a recorder has on a model and its optimizers, for as long as it records."""

__all__ = ["Attachment", "check_attachable", "is_compiled"]

import contextlib
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from outgrow.capture.leaves import find_leaves
from outgrow.capture.recorder import Recorder
from outgrow.capture.watch import Call, watch
from outgrow.errors import InputError, nearest_names
from outgrow.names import join_name, matches


def check_attachable(model: nn.Module, only: str) -> None:
    """Make sure that there is something to see.

    Raises:
        InputError: no module fits `only`, or calls cannot be seen since the model is compiled.
    """
    names = [name for name, _ in model.named_modules()]
    if not any(matches(name, only) for name in names):
        near = ", ".join(map(repr, nearest_names(only, names) or names[1:4]))
        raise InputError(f"no module of the model fits {only!r}", hint=f"names are {near}" if near else None)
    compiled = is_compiled(model)
    if compiled is not None:
        raise InputError(
            f"module {compiled!r} is compiled, and calls within it cannot be seen",
            hint="record the model as it is before torch.compile",
        )


def is_compiled(model: nn.Module) -> str | None:
    """The name of the first module that torch.compile was applied to; None where there is none."""
    for name, module in model.named_modules():
        if type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None:
            return str(name)
    return None


class Attachment:
    """Hands a recorder what it is to record of one model. A context: all hooks go at its end."""

    def __init__(
        self,
        recorder: Recorder,
        model: nn.Module,
        *,
        only: str = "*",
        prefix: str = "",
        optimizers: Sequence[torch.optim.Optimizer] = (),
        begins_steps: bool = True,
        others: Container[int] = frozenset(),
    ) -> None:
        """`only` is a glob over names, before which comes `prefix`. Calls of the model begin steps if
        `begins_steps`. Modules whose `id` is in `others` are somebody else's to record.
        """
        self._recorder, self._model, self._prefix, self._only = recorder, model, prefix, only
        self._chosen = {
            module
            for name, module in model.named_modules()
            if matches(join_name(prefix, name), only) and id(module) not in others
        }
        self._others = others
        self._optimizers, self._begins_steps = optimizers, begins_steps
        self._calls = threading.local()
        self._step_of_parameters = -1
        self._hooks = contextlib.ExitStack()

    def __enter__(self) -> Self:
        kinds = self._recorder.kinds
        with contextlib.ExitStack() as hooks:
            if kinds & {"inputs", "outputs", "gradients"}:
                hooks.enter_context(watch(self._model, enter=self._enter, leave=self._leave, only=self._only))
            # The last to be attached is the first to be called: a step begins before anything is in it.
            hooks.enter_context(watch(self._model, enter=self._begin, only=""))
            if "gradients" in kinds:
                for name, module, parameter in self._parameters():
                    if parameter.requires_grad and parameter.is_leaf and not nn.parameter.is_lazy(parameter):
                        hook = self._parameter_hook(name, module)
                        handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
                        hooks.callback(handle.remove)
            if "optimizer" in kinds:
                for optimizer in self._optimizers:
                    hooks.callback(optimizer.register_step_post_hook(self._after_step).remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._hooks.close()

    def take_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Record what an optimizer holds for those of its parameters that are this model's."""
        known = {parameter: (name, module) for name, module, parameter in self._parameters()}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter in known:
                    name, module = known[parameter]
                    state = optimizer.state.get(parameter, {})
                    self._recorder.take(state, name, kind="optimizer", module=module)

    def _begin(self, _call: Call) -> None:
        recorder = self._recorder
        if self._begins_steps:
            recorder.begin_call()
        if "parameters" in recorder.kinds and self._step_of_parameters != recorder.step:
            self._step_of_parameters = recorder.step
            for name, module, tensor in self._parameters(with_buffers=True):
                recorder.take(tensor, name, kind="parameters", module=module)

    def _enter(self, call: Call) -> None:
        if call.module not in self._chosen:
            return
        recorder, name = self._recorder, join_name(self._prefix, call.name)
        place = (call.module, recorder.step, recorder.count_call(name))
        self._calls.__dict__.setdefault("open", []).append(place)
        if "inputs" in recorder.kinds:
            try:
                arguments = call.arguments()
            except TypeError:
                # What does not fit the signature fails in the call itself, where the reader expects it.
                return
            except ValueError as err:
                recorder.refuse(join_name(name, "input"), f"its arguments have no names: {err}")
                return
            recorder.take(arguments, join_name(name, "input"), kind="inputs", module=name, call=place[2])

    def _leave(self, call: Call, output: Any, error: BaseException | None) -> None:
        if call.module not in self._chosen:
            return
        recorder, name = self._recorder, join_name(self._prefix, call.name)
        # Calls that Ctrl-C ended were never left, and one that was under way already was never entered.
        stack = self._calls.__dict__.get("open", [])
        while stack and stack[-1][0] is not call.module:
            stack.pop()
        if not stack:
            return
        _module, step, number = stack.pop()
        if error is not None:
            return
        label = join_name(name, "output")
        if "outputs" in recorder.kinds:
            recorder.take(output, label, kind="outputs", module=name, step=step, call=number)
        if "gradients" in recorder.kinds and torch.is_grad_enabled():
            for leaf in find_leaves(output):
                if leaf.tensor is not None and leaf.tensor.requires_grad:
                    full = join_name(join_name(label, leaf.name), "gradient")
                    hook = self._output_hook(full, name, step, number)
                    leaf.tensor.register_hook(hook)  # type: ignore[no-untyped-call]

    def _output_hook(self, name: str, module: str, step: int, number: int) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._recorder.take(gradient, name, kind="gradients", module=module, step=step, call=number)

        return hook

    def _parameter_hook(self, name: str, module: str) -> Callable[[Tensor], None]:
        full = join_name(name, "gradient")

        def hook(parameter: Tensor) -> None:
            self._recorder.take(parameter.grad, full, kind="gradients", module=module)

        return hook

    def _after_step(self, optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        self.take_state(optimizer)
        everything = set(self._model.parameters())
        if not all(
            parameter in everything for group in optimizer.param_groups for parameter in group["params"]
        ):
            self._recorder.refuse("optimizer", "some of its parameters are not the model's")

    def _parameters(self, *, with_buffers: bool = False) -> Iterator[tuple[str, str, Tensor]]:
        """Parameters that fit `only`, or whose module does: name, name of the module, and itself; a shared
        one by the first of its names."""
        seen: set[int] = set()
        for module_name, module in self._model.named_modules():
            if id(module) in self._others:
                continue
            own = list(module.named_parameters(recurse=False))
            own += module.named_buffers(recurse=False) if with_buffers else []
            for attribute, tensor in own:
                name = join_name(self._prefix, join_name(module_name, attribute))
                if id(tensor) not in seen and (module in self._chosen or matches(name, self._only)):
                    seen.add(id(tensor))
                    yield name, join_name(self._prefix, module_name), tensor
