"""What torch calls for each op on a tensor of the workers: a special case, or an instruction."""

__all__ = ["torch_dispatch"]

from typing import Any

from outgrow.shard.client.backward import is_in_backward, keep_error
from outgrow.shard.client.here import TorchRefusal
from outgrow.shard.client.recording import record
from outgrow.shard.client.special import SPECIAL

_BY_ADDRESS = {id(op): special for op, special in SPECIAL.items()}


def torch_dispatch(cls: type, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """`WorkersTensor.__torch_dispatch__`; raises what torch raises, as if this frame had."""
    error: BaseException
    try:
        special = _BY_ADDRESS.get(id(op))
        if special is None:
            return record(op, args, kwargs)
        return special(op, args, kwargs or {})
    except TorchRefusal as refusal:
        # The frames of how torch was asked are of no use to anybody.
        error = refusal.error.with_traceback(None)
    except BaseException as raised:
        error = raised
    if is_in_backward():
        return keep_error(error)
    raise error from error.__cause__
