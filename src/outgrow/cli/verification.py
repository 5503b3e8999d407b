"""Whether a streamed model gave the very tokens and logits of one that streams nothing."""

__all__ = ["Verification", "compare", "resident_model"]

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.cli.generation import Generated
from outgrow.cli.module_check import ModuleCheck
from outgrow.devices import memory_state
from outgrow.difference import difference

# What a resident model takes besides its weights while it is opened and runs.
_SPARE_SHARE = 0.15
_SPARE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How a streamed run compares with one that streamed nothing."""

    is_identical: bool
    """Whether every token and every logit is the same, and what was recorded of the modules."""
    reference: str
    """`resident`: loaded whole by transformers; `block by block`: a module's weights at a time."""
    tokens: int
    """How many tokens were compared."""
    equal_tokens: int
    """How many of them are the same, up to the first that is not."""
    logits: int
    """How many logits were compared."""
    equal_logits: int
    """How many of them have the same bits."""
    max_abs: float
    """Largest difference of two logits; 0.0 where all are the same."""
    seconds_per_token: float
    """Of the reference."""
    modules: ModuleCheck | None = None
    """How the outputs of every module compare in the pass over the prompt, where they were recorded."""

    def as_dict(self) -> dict[str, Any]:
        """All by name."""
        return asdict(self)


def compare(
    actual: Generated, expected: Generated, *, reference: str, modules: ModuleCheck | None = None
) -> Verification:
    """Compare a streamed run with a reference, bit by bit; the streamed one is `actual`."""
    equal_tokens = 0
    for one, other in zip(actual.tokens, expected.tokens, strict=False):
        if one != other:
            break
        equal_tokens += 1
    logits = equal_logits = 0
    max_abs = 0.0
    for row, wanted in zip(actual.logits, expected.logits, strict=False):
        logits += wanted.numel()
        if row.shape != wanted.shape or row.dtype != wanted.dtype:
            continue
        found = difference(row, wanted)
        equal_logits += wanted.numel() - found.mismatched
        max_abs = max(max_abs, found.max_abs)
    is_identical = (
        actual.tokens == expected.tokens
        and len(actual.logits) == len(expected.logits) > 0
        and equal_logits == logits
        and (modules is None or modules.is_identical)
    )
    return Verification(
        is_identical=is_identical,
        reference=reference,
        tokens=max(len(actual.tokens), len(expected.tokens)),
        equal_tokens=equal_tokens,
        logits=logits,
        equal_logits=equal_logits,
        max_abs=max_abs,
        seconds_per_token=expected.seconds_per_token,
        modules=modules,
    )


@contextlib.contextmanager
def resident_model(
    path: Path | str,
    kind: type[nn.Module],
    dtype: torch.dtype,
    weights_bytes: int,
    device: torch.device,
    *,
    trust_remote_code: bool = False,
) -> Iterator[tuple[nn.Module, str]]:
    """The same model without streaming, and how: whole, by transformers, if there is room, else by blocks.

    `kind` is the class of the streamed model, `dtype` what it computes in.
    """
    if _room(device) > weights_bytes * (1 + _SPARE_SHARE) + _SPARE_BYTES:
        yield _whole(path, kind, dtype, device, trust_remote_code=trust_remote_code), "resident"
        return
    from outgrow.stream.block_by_block import open_block_by_block

    with open_block_by_block(path, dtype=dtype, device=device, trust_remote_code=trust_remote_code) as model:
        yield model, "block by block"


def _room(device: torch.device) -> int:
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return min(free, memory_state().available)
    return memory_state().available


def _whole(
    path: Path | str, kind: Any, dtype: torch.dtype, device: torch.device, *, trust_remote_code: bool
) -> nn.Module:
    from transformers.utils import logging as hf_logging

    local = Path(path).expanduser()
    folder = str(path) if not local.exists() else str(local if local.is_dir() else local.parent)
    had_bar = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: nn.Module = kind.from_pretrained(folder, dtype=dtype, trust_remote_code=trust_remote_code)
    finally:
        if had_bar:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return model.eval().requires_grad_(requires_grad=False).to(device)
