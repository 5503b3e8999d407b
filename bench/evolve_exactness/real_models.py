"""Models with weights that somebody trained, from folders in the form of Hugging Face."""

__all__ = ["load_real"]

from pathlib import Path

import torch
from torch import Tensor

from bench.evolve_exactness.small_models import Subject


def load_real(folder: Path) -> Subject:
    """The model of a folder, with its language-model head where its configuration names one."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    is_causal = any("CausalLM" in name for name in config.architectures or ())
    kind = AutoModelForCausalLM if is_causal else AutoModel
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()

    def inputs(seed: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {"input_ids": torch.randint(1000, config.vocab_size, (2, 16 + seed % 5), generator=generator)}

    return Subject(model=model, inputs=inputs)
