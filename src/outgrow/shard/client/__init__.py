"""The client of shard: tensors on the device `workers`, and the instructions that they become."""

__all__: list[str] = []

from outgrow.shard.client.backward import guard_backward
from outgrow.shard.client.dispatch import torch_dispatch
from outgrow.shard.client.library import register_kernels
from outgrow.shard.client.saving import refuse_storages
from outgrow.shard.client.steps import watch_optimizers
from outgrow.shard.client.tensor import WorkersTensor

# Set here because what it needs needs the class.
WorkersTensor.__torch_dispatch__ = classmethod(torch_dispatch)  # type: ignore[assignment]
register_kernels()
watch_optimizers()
guard_backward()
refuse_storages()
