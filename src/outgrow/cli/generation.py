"""Generating text with any causal language model: prompt to tokens, tokens to text while they come."""

__all__ = ["Generated", "Sampling", "TokenText", "encode_prompt", "generate", "open_tokenizer"]

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.stream.architecture import import_transformers, read_config

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "*.tiktoken")
_TOKENIZER_HINT = "put the model's tokenizer.json and tokenizer_config.json beside its weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen."""

    max_new_tokens: int
    """Most tokens to generate."""
    temperature: float = 0.0
    """0 takes the likeliest token; above, tokens are drawn."""
    seed: int = 0
    """Of the drawing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What came of a prompt."""

    tokens: tuple[int, ...]
    """The new tokens."""
    logits: tuple[Tensor, ...]
    """What each was chosen from, shape `[vocabulary]` each, as the model gave them; empty where not kept."""
    prompt_tokens: int
    """How many tokens the prompt has."""
    prompt_seconds: float
    """From the start to the first token."""
    decode_seconds: float
    """From the first token to the last."""

    @property
    def seconds_per_token(self) -> float:
        """Of the tokens after the first; of the first where there is only one."""
        count = len(self.tokens) - 1
        return self.decode_seconds / count if count > 0 else self.prompt_seconds


class TokenText:
    """Turns tokens into text as they come. What transformers calls a streamer.

    A token can be a part of a character, and how one is written can depend on the one before: text is told
    when it cannot change any more.
    """

    def __init__(self, tokenizer: Any, tell: Callable[[str], None], step: Callable[[], None]) -> None:
        """`tell` gets each new bit of text; `step` is called after each token."""
        self._tokenizer = tokenizer
        self._tell = tell
        self._step = step
        self._pending: list[int] = []
        self._told = 0
        self._is_prompt = True
        self.tokens: list[int] = []
        self.text = ""
        self.times: list[float] = []

    def put(self, value: Tensor) -> None:
        """Take one more token; the first call brings the prompt."""
        if self._is_prompt:
            self._is_prompt = False
            return
        self.times.append(time.perf_counter())
        new = [int(token) for token in value.reshape(-1)]
        self.tokens += new
        self._pending += new
        text = self._tokenizer.decode(self._pending, skip_special_tokens=True)
        if not text.endswith(_REPLACEMENT):
            self._say(text[self._told :])
            self._told = len(text)
            if text.endswith("\n"):
                self._pending, self._told = [], 0
        self._step()

    def end(self) -> None:
        """Tell what was held back."""
        text = self._tokenizer.decode(self._pending, skip_special_tokens=True)
        self._say(text[self._told :])
        self._pending, self._told = [], 0

    def _say(self, text: str) -> None:
        self.text += text
        if text:
            self._tell(text)


def open_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer in the directory of a model.

    Raises:
        InputError: there is none; it or the model's config cannot be used; transformers is not installed.
    """
    transformers = import_transformers()
    try:
        return transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as err:
        # A config that cannot be read is what the tokenizer stumbled over: then that is the error.
        read_config(folder, trust_remote_code=trust_remote_code)
        if not any(file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern)):
            raise InputError(
                f"the model in {str(folder)!r} brings no tokenizer", hint=_TOKENIZER_HINT
            ) from err
        why = " ".join(str(err).split()) or type(err).__name__
        raise InputError(
            f"the model in {str(folder)!r} has no tokenizer that can be used: {why}", hint=_TOKENIZER_HINT
        ) from err


def encode_prompt(tokenizer: Any, prompt: str, *, is_chat: bool = True) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, shape `[1, tokens]`, by the tokenizer's chat template if it has one.

    Raises:
        InputError: the prompt is not Unicode or has no tokens, or the template does not take it.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError as err:
        # What Python reads from an argument or a pipe and cannot decode becomes lone surrogates.
        raise InputError(
            f"the prompt is not UTF-8 text: {prompt!r:.80}", hint="give it in UTF-8, or without these bytes"
        ) from err
    if is_chat and getattr(tokenizer, "chat_template", None):
        try:
            found = tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                add_generation_prompt=True, return_tensors="pt", return_dict=True,
            )  # fmt: skip
        except (ValueError, TypeError, KeyError) as err:
            raise InputError(
                f"the model's chat template does not take the prompt: {err}", hint="use --no-chat"
            ) from err
    else:
        found = tokenizer(prompt, return_tensors="pt")
    inputs = {key: found[key] for key in ("input_ids", "attention_mask") if key in found}
    if inputs["input_ids"].numel() == 0:
        raise InputError("the prompt has no tokens", hint="write a prompt with at least one character")
    return inputs


def generate(
    model: nn.Module,
    inputs: dict[str, Tensor],
    sampling: Sampling,
    text: TokenText,
    *,
    keeps_logits: bool,
    device: torch.device,
) -> Generated:
    """Generate one answer; the same call shapes and, with the same seed, the same draws every time.

    Raises:
        InputError: the model cannot generate text.
    """
    own: Any = model
    if not hasattr(own, "generate") or not own.can_generate():
        raise InputError(
            f"{type(model).__name__} does not generate text",
            hint="take a causal language model; other models run from Python with outgrow.stream.load",
        )
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: Any, output: Any) -> None:
        kept.append(output.logits[0, -1].detach().cpu().clone())

    torch.manual_seed(sampling.seed)
    hook = model.register_forward_hook(keep) if keeps_logits else None
    started = time.perf_counter()
    try:
        own.generate(
            **{name: tensor.to(device) for name, tensor in inputs.items()},
            generation_config=_generation_config(own, sampling),
            streamer=text,
        )
    finally:
        if hook is not None:
            hook.remove()
    times = text.times or [time.perf_counter()]
    return Generated(
        tokens=tuple(text.tokens),
        logits=tuple(kept),
        prompt_tokens=inputs["input_ids"].shape[-1],
        prompt_seconds=times[0] - started,
        decode_seconds=times[-1] - times[0],
    )


def _generation_config(model: Any, sampling: Sampling) -> Any:
    """The model's own, with the choice of tokens replaced by what was asked for."""
    config = copy.deepcopy(model.generation_config)
    config.max_new_tokens, config.max_length, config.num_beams = sampling.max_new_tokens, None, 1
    config.do_sample = sampling.temperature > 0
    # Left at the model's own values, transformers would warn of what has no effect without sampling.
    for name in ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
        if hasattr(config, name) and not config.do_sample:
            setattr(config, name, None)
    if config.do_sample:
        config.temperature = sampling.temperature
    if config.pad_token_id is None:
        end = config.eos_token_id
        config.pad_token_id = end[0] if isinstance(end, list) else end
    return config
