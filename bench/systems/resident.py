"""Everything in memory: the reference for bits, and the floor that compute sets."""

__all__ = ["Resident"]

from typing import Any

from bench.systems.system import System


class Resident(System):
    """`from_pretrained`, then every weight copied, so that no page fault is left for later."""

    name = "resident"

    def open(self, spec: Any) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(spec.model, dtype=torch.bfloat16).eval()
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()
        return model
