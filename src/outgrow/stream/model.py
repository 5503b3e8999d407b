"""What users call: load, offload, restore, set_budget."""

__all__ = ["load", "restore", "set_budget"]

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.events import Listener, ignore
from outgrow.quantities import parse_bytes
from outgrow.stream.attach import ATTRIBUTE, attach, stream_of
from outgrow.stream.config import Config
from outgrow.stream.huggingface import open_huggingface


def load(
    path: str | Path,
    budget: int | str | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    config: Config | None = None,
    *,
    trust_remote_code: bool = False,
    listener: Listener = ignore,
) -> nn.Module:
    """Open a Hugging Face checkpoint that need not fit into memory."""
    opened = open_huggingface(path, dtype=dtype, trust_remote_code=trust_remote_code)
    config = config or Config()
    budget_bytes = parse_bytes(budget) if budget is not None else config.budget_bytes()
    assert budget_bytes
    attach(
        opened.model,
        opened.sources,
        config=config,
        budget_bytes=budget_bytes,
        device=torch.device(device or "cpu"),
        identities=opened.checkpoint.identities,
    )
    return opened.model


def set_budget(model: nn.Module, budget: int | str) -> None:
    stream_of(model).replan(budget_bytes=parse_bytes(budget))


def restore(model: nn.Module) -> nn.Module:
    stream_of(model).bring_back()
    return model
