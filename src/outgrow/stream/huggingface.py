"""Opening a Hugging Face checkpoint without reading its weights.

transformers' own `from_pretrained` does the work, so that class, names, ties, dtypes and buffers are the ones
it gives; it is handed tensors that know their place in the files and have no values (`FileTensor`).
"""

__all__ = ["OpenedModel", "open_architecture", "open_huggingface"]

import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from outgrow.errors import InputError
from outgrow.store.checkpoint import Checkpoint, open_checkpoint
from outgrow.stream.architecture import (
    UnsupportedCheckpoint,
    choose_class,
    choose_dtype,
    import_transformers,
    read_config,
)
from outgrow.stream.file_tensor import FileTensor
from outgrow.stream.model_path import ModelFiles, find_model
from outgrow.stream.source import WeightSource, source_of

# What transformers writes into its report: the exception, the operation, the weight.
_FAILED_CONVERSION = re.compile(r"^(.*)\nError: (\w+) on tensors destined for (\S+)\. Ckpt", re.MULTILINE)
_RESIDENT = "load it resident with transformers and use outgrow.stream.offload"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """A transformers model whose weights are still in their files."""

    model: nn.Module
    """In eval mode. Parameters are on the meta device in the shape and dtype that the model computes in, tied
    ones one object, none asking for gradients; buffers are real, on the CPU."""
    sources: Mapping[str, WeightSource]
    """Where the bytes of each parameter lie, by its first name in `named_parameters()`. A source has the
    dtype as stored: where the parameter's differs, the values are to be cast after reading."""
    checkpoint: Checkpoint
    """The files."""
    unused: tuple[str, ...]
    """Names in the model's terms of what the files hold and the model has no place for, sorted."""
    computed: tuple[str, ...]
    """Parameters that are real, since no file holds them and the model's class says it fills them in
    itself."""


def open_huggingface(
    path: Path | str,
    *,
    dtype: torch.dtype | str | None = None,
    trust_remote_code: bool = False,
    model_class: type | str | None = None,
) -> OpenedModel:
    """The model at `path` (a directory, a file in it, a Hub name) as transformers makes it, by headers alone.

    `dtype` is what the model computes in. None does what `from_pretrained` does: the config's dtype for every
    floating weight (files may hold others, such as float32 norms in a bfloat16 model), except where the class
    keeps modules in float32. `model_class` is a transformers class, an Auto class or the name of either; None
    takes the first of `config.architectures`, else AutoModelForCausalLM's choice. The Python code that a
    model may bring runs only with `trust_remote_code`.

    No weight is read, except persistent buffers, and two weights that the config ties although the files hold
    both: they are compared, as transformers does.

    Raises:
        InputError: nothing is there, it is no Hugging Face checkpoint, weights are missing or of another
            shape than the config says, or the dtype cannot be.
        UnsupportedCheckpoint: weights are quantized, or are not whole runs of the files' bytes.
        StoreError: a file is damaged or cannot be read.
    """
    import_transformers()
    files = find_model(path, trust_remote_code=trust_remote_code)
    config = read_config(files.folder, trust_remote_code=trust_remote_code)
    explicit = getattr(config, "transformers_weights", None)
    checkpoint = open_checkpoint(files.folder / explicit if explicit else files.weights)
    kind, config = choose_class(config, model_class, folder=files.folder, trust_remote_code=trust_remote_code)
    build = functools.partial(_build, kind, config, choose_dtype(config, dtype, checkpoint), checkpoint)
    model, report = build(keep_on_meta=True)
    _check_report(model, report, files)
    computed = tuple(name for name, weight in model.named_parameters() if not isinstance(weight, FileTensor))
    if computed:
        # The class says that it fills them in itself (sinusoidal positions, say), so let it.
        model, report = build(keep_on_meta=False)
    sources = _sources(model)
    _empty(model)
    _finish(model, files, trust_remote_code=trust_remote_code)
    return OpenedModel(
        model=model,
        sources=MappingProxyType(sources),
        checkpoint=checkpoint,
        unused=tuple(sorted(report["unexpected_keys"])),
        computed=computed,
    )


def open_architecture(config: Any, *, dtype: torch.dtype | str | None = None) -> nn.Module:
    """The model that a config alone describes, all on the meta device: for plans of models nobody has here.

    `config` is a transformers config, a `config.json`, the directory of one, or a Hub name, of which the
    config alone is downloaded.

    Raises:
        InputError: the config cannot be used, or the dtype cannot be.
        UnsupportedCheckpoint: its weights are quantized.
    """
    import_transformers()
    if isinstance(config, str | Path):
        local = Path(config).expanduser()
        config = read_config(local if local.is_file() else find_model(config, config_only=True).folder)
    kind, config = choose_class(config)
    with torch.device("meta"):
        model: nn.Module = kind._from_config(config, dtype=choose_dtype(config, dtype))
    return model.eval().requires_grad_(requires_grad=False)


def _build(
    kind: Any, config: Any, dtype: torch.dtype, checkpoint: Checkpoint, *, keep_on_meta: bool
) -> tuple[Any, dict[str, Any]]:
    """The model with a FileTensor for each parameter in the files, and transformers' own loading report."""
    weights = {name: FileTensor.of(source_of(meta)) for name, meta in checkpoint.tensors.items()}
    guard: contextlib.AbstractContextManager[object] = (
        _MissingStayOnMeta() if keep_on_meta else contextlib.nullcontext()
    )
    try:
        # A default device that the caller has set would otherwise take the buffers.
        with _quietly() as reports, torch.device("cpu"), guard:
            model, report = kind.from_pretrained(
                None,
                config=config,
                state_dict=weights,
                dtype=dtype,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except RuntimeError as err:
        failures = [found for report in reports for found in _FAILED_CONVERSION.findall(report)]
        why = "{2!r} needs {1}, and {0}".format(*failures[0]) if failures else str(err)
        raise UnsupportedCheckpoint(
            f"transformers cannot put the weights in {str(checkpoint.root)!r} together: {why}",
            hint=f"is the download complete, and config.json of the same model? If so, {_RESIDENT}",
        ) from err
    return model, report


class _MissingStayOnMeta(TorchFunctionMode):
    """Keeps parameters that no file holds on the meta device, where transformers would allocate and fill
    them.

    A wrong config would otherwise cost the memory of a whole model before its error.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        if func is torch.empty_like and isinstance(args[0], nn.Parameter) and args[0].is_meta:
            options = {**options, "device": "meta"}
        return func(*args, **options)


@contextlib.contextmanager
def _quietly() -> Iterator[list[str]]:
    """Without transformers' progress bar, and with its tables of what went wrong in a list instead of the
    log."""
    from transformers.utils import logging as hf_logging

    reports: list[str] = []
    logger = logging.getLogger("transformers.modeling_utils")
    level, is_wanted = logger.level, logger.isEnabledFor(logging.WARNING)

    def is_no_report(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "LOAD REPORT" not in message:
            return is_wanted or record.levelno > logging.WARNING
        reports.append(message)
        return False

    # The tables are made only where warnings are wanted, and the reason of a failure is in them.
    # One below WARNING: at WARNING itself transformers also names layers that tensor parallelism leaves out.
    logger.setLevel(min(level or logging.WARNING, logging.WARNING) - 1)
    had_bar = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logger.addFilter(is_no_report)
    try:
        yield reports
    finally:
        logger.removeFilter(is_no_report)
        logger.setLevel(level)
        if had_bar:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _check_report(model: nn.Module, report: Mapping[str, Any], files: ModelFiles) -> None:
    for name, found, expected in sorted(report["mismatched_keys"]):
        raise InputError(
            f"weight {name!r} has shape {list(found)} in the files but {list(expected)} by config.json",
            hint=f"config.json and the weights in {str(files.folder)!r} are not of the same model",
        )
    held = {name for name, weight in _every_tensor(model) if isinstance(weight, FileTensor)}
    missing = sorted(set(report["missing_keys"]) - held)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"{type(model).__name__} needs weights that {str(files.folder)!r} does not hold: "
            + ", ".join(repr(name) for name in missing[:3])
            + more,
            hint="is the download complete? Otherwise pass the model_class that the files were saved from",
        )


def _every_tensor(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _sources(model: nn.Module) -> dict[str, WeightSource]:
    sources = {}
    for name, weight in _every_tensor(model):
        if not isinstance(weight, FileTensor):
            continue
        if weight.refusal:
            raise UnsupportedCheckpoint(
                f"weight {name!r} is not in the files as it is: it is made from them by {weight.refusal!r}",
                hint=_RESIDENT,
            )
        if weight.dtype.is_floating_point and not weight.stored.is_floating_point:
            raise UnsupportedCheckpoint(
                f"weight {name!r} is stored as {weight.stored} but used as {weight.dtype}: is it quantized?",
                hint=_RESIDENT,
            )
    for name, weight in model.named_parameters():
        if isinstance(weight, FileTensor):
            sources[name] = weight.source(name)
    return sources


def _empty(model: nn.Module) -> None:
    """Put plain meta parameters in the place of FileTensors, and the values of buffers in theirs."""
    plain: dict[int, Tensor] = {}
    # Keeps every FileTensor alive until the end: an id must not come back for another one.
    kept = list(_every_tensor(model))
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if not isinstance(weight, FileTensor):
                weight.requires_grad_(False)
                continue
            empty = plain.get(id(weight))
            if empty is None:
                on_meta = torch.empty(weight.shape, dtype=weight.dtype, device="meta")
                empty = plain[id(weight)] = nn.Parameter(on_meta, requires_grad=False)
                # Without it transformers would take the parameter for one to initialise.
                empty._is_hf_initialized = True  # type: ignore[attr-defined]
            setattr(module, name, empty)
        for name, buffer in list(module.named_buffers(recurse=False, remove_duplicate=False)):
            if isinstance(buffer, FileTensor):
                if id(buffer) not in plain:
                    plain[id(buffer)] = buffer.read()
                setattr(module, name, plain[id(buffer)])
    del kept


def _finish(model: Any, files: ModelFiles, *, trust_remote_code: bool) -> None:
    """What `from_pretrained` takes from the directory besides weights: its name and how to generate."""
    transformers = import_transformers()
    model.config.name_or_path = files.name
    model.name_or_path = files.name
    if not model.can_generate():
        return
    load: Callable[..., Any] = transformers.GenerationConfig.from_pretrained
    if (files.folder / "generation_config.json").is_file():
        model.generation_config = load(files.folder)
    else:
        model.generation_config = load(files.folder, config_file_name="config.json", _from_model_config=True)
    if trust_remote_code and (files.folder / "custom_generate" / "generate.py").is_file():
        own = model.load_custom_generate(str(files.folder), trust_remote_code=True)
        model.generate = functools.partial(own, model=model)
