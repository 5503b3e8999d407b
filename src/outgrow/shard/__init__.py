"""Eager PyTorch on many workers from one program: `import outgrow.shard as gt`."""

__all__ = [
    "Owned",
    "Replicate",
    "Shard",
    "ShardConfig",
    "SignalConfig",
    "bool",
    "cat",
    "compile",
    "connect",
    "debug",
    "explain",
    "float32",
    "float64",
    "from_numpy",
    "get_config",
    "get_signal_config",
    "gpu_workers",
    "int32",
    "int64",
    "load_config",
    "nn",
    "no_grad",
    "ones",
    "place",
    "placement_of",
    "rand",
    "randn",
    "register_config",
    "replicated",
    "shutdown",
    "signal",
    "signals",
    "statistics",
    "tensor",
    "zeros",
]

from torch import no_grad

from outgrow.placement import Owned, Replicate, Shard
from outgrow.shard import debug, nn, signals
from outgrow.shard import signals as signal
from outgrow.shard.compiled import compile
from outgrow.shard.interface.connecting import connect, gpu_workers, shutdown, statistics
from outgrow.shard.interface.creation import cat, from_numpy, ones, rand, randn, tensor, zeros
from outgrow.shard.interface.dtypes import bool_ as bool
from outgrow.shard.interface.dtypes import float32, float64, int32, int64
from outgrow.shard.interface.explaining import explain
from outgrow.shard.interface.placing import place, placement_of, replicated
from outgrow.shard.interface.signal_config import ShardConfig, SignalConfig
from outgrow.shard.signals import get_config, get_signal_config, load_config, register_config
