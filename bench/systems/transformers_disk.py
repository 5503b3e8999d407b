"""transformers' own way: `device_map={"": "disk"}` with an offload folder."""

__all__ = ["TransformersDisk"]

from typing import Any

from bench.systems.system import System


class TransformersDisk(System):
    """For a safetensors checkpoint of the same dtype it reads the checkpoint's files and makes no copy."""

    name = "transformers"
    is_slow = True

    def load_libraries(self, spec: Any) -> None:
        super().load_libraries(spec)
        import accelerate  # noqa: F401

    def open(self, spec: Any) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        folder = self.copy_directory(spec)
        folder.mkdir(parents=True, exist_ok=True)
        model = AutoModelForCausalLM.from_pretrained(
            spec.model, dtype=torch.bfloat16, device_map={"": "disk"}, offload_folder=folder
        )
        return model.eval()
