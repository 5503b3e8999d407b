"""Eager PyTorch on many workers from one program: `import outgrow.shard as gt`."""

__all__ = [
    "bool",
    "cat",
    "float32",
    "float64",
    "from_numpy",
    "int32",
    "int64",
    "nn",
    "no_grad",
    "ones",
    "rand",
    "randn",
    "tensor",
    "zeros",
]

from torch import no_grad

from outgrow.shard import nn
from outgrow.shard.interface.creation import cat, from_numpy, ones, rand, randn, tensor, zeros
from outgrow.shard.interface.dtypes import bool_ as bool
from outgrow.shard.interface.dtypes import float32, float64, int32, int64
