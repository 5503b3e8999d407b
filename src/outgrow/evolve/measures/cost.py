"""What a model costs: parameters, bytes, FLOPs and seconds."""

__all__ = ["Cost", "flop_counter", "measure_cost", "measure_seconds", "parameter_bytes", "summed"]

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from outgrow.evolve.batches import Batch, Objective, own_loss
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.transactions.undisturbed import undisturbed

_aten = torch.ops.aten


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model costs, or, as a difference, what a change of it costs."""

    parameters: int = 0
    """Elements of parameters; a tied one counts once."""
    bytes: int = 0
    """Bytes of parameters and buffers."""
    flops: float = 0.0
    """FLOPs of a forward pass per sample; a multiplication with its addition is two."""
    training_flops: float = 0.0
    """FLOPs of a forward and a backward pass per sample."""

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(
            parameters=self.parameters - other.parameters,
            bytes=self.bytes - other.bytes,
            flops=self.flops - other.flops,
            training_flops=self.training_flops - other.training_flops,
        )


def measure_cost(model: nn.Module, inputs: ExampleInputs) -> Cost:
    """Count what `model` costs by running it once forwards and backwards on `inputs`.

    FLOPs are those of `torch.utils.flop_counter`: matrix products, convolutions and attention. Elementwise
    operations, normalisations, embeddings and the optimizer's own step are left out; they are bound by memory
    and not by arithmetic, so seconds do not follow from FLOPs (`measure_seconds` measures those). An
    operation that torch's counter does not know counts as nothing.

    The model runs in eval mode, so that one sample is enough for batch normalisation; what it computes in
    training alone (a second head) is not counted. It is left as it was: gradients, buffers, modes, random
    state.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with undisturbed(model), torch.enable_grad(), flop_counter() as counter:
        model.eval()
        loss = summed(inputs.call(model))
        forward = counter.get_total_flops()
        if loss.requires_grad and trained:
            torch.autograd.grad(loss, trained, allow_unused=True)
        both = counter.get_total_flops()
    samples = Batch(inputs=inputs).size
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        bytes=parameter_bytes(model),
        flops=forward / samples,
        training_flops=both / samples,
    )


def measure_seconds(
    model: nn.Module, batch: Batch, *, objective: Objective = own_loss, repeats: int = 5
) -> float:
    """Seconds of a forward and a backward pass on `batch`: the least of `repeats`, after one that warms up.

    The least, because everything else that the machine does can only add to it. Known error: a few percent on
    a quiet machine, more on a shared one. The model is left as it was.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    seconds = []
    with undisturbed(model), torch.enable_grad():
        for _ in range(repeats + 1):
            _synchronize(trained)
            began = time.perf_counter()
            torch.autograd.grad(objective(model, batch), trained, allow_unused=True)
            _synchronize(trained)
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def parameter_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers; a tied one counts once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))


def flop_counter() -> FlopCounterMode:
    """torch's counter, which also knows the attention kernels of the CPU."""
    # Those two are missing from its table (torch 2.13), so that attention would cost nothing on a CPU.
    return FlopCounterMode(
        display=False,
        custom_mapping={
            _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))  # type: ignore[no-untyped-call]


def summed(output: object) -> Tensor:
    """Something to differentiate that reaches every output."""
    terms = [tensor.float().sum() for tensor in output_tensors(output).values() if tensor.requires_grad]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def _synchronize(trained: list[nn.Parameter]) -> None:
    for device in {parameter.device for parameter in trained if parameter.device.type == "cuda"}:
        torch.cuda.synchronize(device)
