"""What torch calls for each op on a tensor of the workers: a special case, or an instruction."""

__all__ = ["torch_dispatch"]

from typing import Any

from outgrow.shard.client.here import TorchRefusal
from outgrow.shard.client.recording import record
from outgrow.shard.client.special import SPECIAL


def torch_dispatch(cls: type, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """`WorkersTensor.__torch_dispatch__`; raises what torch raises, as if this frame had."""
    try:
        special = SPECIAL.get(op)
        if special is None:
            return record(op, args, kwargs)
        return special(op, args, kwargs or {})
    except TorchRefusal as refusal:
        error = refusal.error
    # The frames of how torch was asked are of no use to anybody.
    raise error.with_traceback(None) from None
