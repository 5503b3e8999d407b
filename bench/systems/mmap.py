"""Weights mapped from the checkpoint, paged in and out by the operating system."""

__all__ = ["Mmap"]

from pathlib import Path
from typing import Any

from bench.models import weight_files
from bench.systems.system import System


class Mmap(System):
    """The model on the meta device, its parameters exchanged for views into mapped safetensors files."""

    name = "mmap"
    is_slow = True

    def load_libraries(self, spec: Any) -> None:
        super().load_libraries(spec)
        import safetensors.torch  # noqa: F401

    def open(self, spec: Any) -> Any:
        from safetensors import safe_open

        model = empty_model(spec)
        for path in weight_files(Path(spec.model)):
            with safe_open(path, framework="pt") as file:
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            model.load_state_dict(weights, strict=False, assign=True)
        # As from_pretrained leaves them. Otherwise torch takes its batched path for one row of a longer
        # input, which copies the whole head: 131 MB and tens of milliseconds that are no fault of paging.
        model.requires_grad_(requires_grad=True)
        missing = [name for name, parameter in model.named_parameters() if parameter.is_meta]
        if missing:
            raise RuntimeError(f"weights without a file: {missing[:3]}")
        return model


def empty_model(spec: Any) -> Any:
    """The checkpoint's model with parameters on the meta device and true buffers."""
    import torch
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(spec.model), dtype=torch.bfloat16)
    return model.eval()
