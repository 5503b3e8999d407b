"""Ops that the client runs itself: it fetches what they read, runs torch's own, and sends what they give."""

__all__ = ["TorchRefusal", "run_here"]

from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.shard.client.inference import op_name
from outgrow.shard.client.outside import outside
from outgrow.shard.client.session import Session
from outgrow.shard.client.tensor import WorkersTensor, become, fetched, send, write


class TorchRefusal(Exception):
    """Carries an error that torch itself raised on the user's arguments to where it is raised again."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run_here(op: Any, args: Any, kwargs: dict[str, Any], session: Session) -> Any:
    """Run an op on the numbers; what it writes into its arguments is written back.

    Raises:
        TorchRefusal: torch raised; nothing has changed.
        InputError: the op would give a view, or change the shape of an argument.
    """
    local: dict[int, tuple[WorkersTensor, Tensor]] = {}
    given = _fetch(args, local)
    named = {name: _fetch(value, local) for name, value in kwargs.items()}
    if "device" in named:
        named["device"] = torch.device("cpu")
    try:
        with outside():
            result = op(*given, **named)
    except Exception as error:
        raise TorchRefusal(error) from error
    if isinstance(result, (list, tuple)) and not result:  # the views of a dim without entries
        return result
    returns = [one.alias_info for one in op._schema.returns]
    if any(alias is not None and not alias.is_write for alias in returns):
        raise InputError(
            f"{op_name(op)} shares memory with what it is given, which workers cannot do",
            hint="copy it first with .clone(), or do it on the CPU: .cpu()",
        )
    _write_back(op, args, kwargs, local)
    return _send(result, local, session)


def _fetch(argument: Any, local: dict[int, tuple[WorkersTensor, Tensor]]) -> Any:
    if isinstance(argument, WorkersTensor):
        if id(argument) not in local:
            # A copy, for what is fetched has memory that torch cannot resize.
            local[id(argument)] = (argument, fetched(argument).clone())
        return local[id(argument)][1]
    if isinstance(argument, (list, tuple)):
        return [_fetch(one, local) for one in argument]
    return argument


def _write_back(op: Any, args: Any, kwargs: Any, local: dict[int, tuple[WorkersTensor, Tensor]]) -> None:
    written: list[WorkersTensor] = []
    for position, argument in enumerate(op._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        given = args[position] if position < len(args) else kwargs.get(argument.name)
        given = given if isinstance(given, (list, tuple)) else [given]
        written.extend(one for one in given if isinstance(one, WorkersTensor))
    for tensor in written:
        changed = local[id(tensor)][1]
        if changed.dtype != tensor.dtype or (changed.shape != tensor.shape and tensor._cell.form.elements):
            raise InputError(
                f"{op_name(op)} would change a tensor of shape {tuple(tensor.shape)} on the workers to"
                f" {tuple(changed.shape)}",
                hint="give out= a tensor of the shape of the result, or leave it out",
            )
    for tensor in written:
        changed = local[id(tensor)][1]
        if changed.shape != tensor.shape:  # an empty tensor as `out`, which torch enlarges
            become(tensor, send(changed, tensor._session))
        else:
            write(tensor, tensor._session.put(changed))


def _send(result: Any, local: dict[int, tuple[WorkersTensor, Tensor]], session: Session) -> Any:
    if isinstance(result, Tensor):
        for original, here in local.values():
            if result is here:
                return original
        return send(result, session)
    if isinstance(result, (list, tuple)):
        return type(result)(_send(one, local, session) for one in result)
    return result
