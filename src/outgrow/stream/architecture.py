"""Which transformers class a checkpoint's config asks for, and in which dtype it computes."""

__all__ = ["UnsupportedCheckpoint", "choose_class", "choose_dtype", "import_transformers", "read_config"]

from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from outgrow.errors import InputError, nearest_names, no_temporary_directory
from outgrow.store.checkpoint import Checkpoint


class UnsupportedCheckpoint(InputError):
    """A sound checkpoint whose weights cannot be read in place: they are computed from what the files
    hold."""


def import_transformers() -> ModuleType:
    """The transformers library, imported only where a Hugging Face model is opened.

    Raises:
        InputError: it is not installed, or older than what this package works with.
    """
    try:
        import transformers
    except ImportError as err:
        raise InputError(
            "opening a Hugging Face model needs transformers, which is not installed",
            hint="pip install 'outgrow[hf]'",
        ) from err
    if int(transformers.__version__.partition(".")[0]) < 5:
        raise InputError(
            f"opening a Hugging Face model needs transformers 5, found {transformers.__version__}",
            hint="pip install --upgrade 'outgrow[hf]'",
        )
    return transformers


def read_config(path: Path, *, trust_remote_code: bool = False) -> Any:
    """The transformers config in `path`, a directory or a JSON file.

    Raises:
        InputError: it cannot be understood, transformers does not know the architecture, or it needs code of
            its own and `trust_remote_code` is off.
        UnsupportedCheckpoint: the weights are quantized.
        StoreError: no temporary file can be written, which torch wants as transformers imports it.
    """
    transformers = import_transformers()
    from huggingface_hub.errors import StrictDataclassError

    try:
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as err:
        unwritable = no_temporary_directory(err)
        if unwritable is not None:
            raise unwritable from err
        if "trust_remote_code" in str(err):
            raise InputError(
                f"the model in {str(path)!r} brings Python code of its own, which runs only if asked for",
                hint="read that code, then pass trust_remote_code=True",
            ) from err
        raise InputError(
            f"the config in {str(path)!r} cannot be used: {_first_line(err)}",
            hint=f"is it a model's, and does transformers {transformers.__version__} know the model?",
        ) from err
    quantization = getattr(config, "quantization_config", None)
    if quantization:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        raise UnsupportedCheckpoint(
            f"the weights in {str(path)!r} are quantized ({method or 'unknown method'})",
            hint="take an unquantized copy, or load it with transformers and use outgrow.stream.offload",
        )
    return config


def choose_class(
    config: Any,
    model_class: type | str | None = None,
    *,
    folder: Path | None = None,
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """The model class for `config`, and the config to give it (of a composite model sometimes its text part).

    In this order: `model_class` (a model class, an Auto class, or the name of either), the model's own code
    where it is trusted, the first of `config.architectures`, and what AutoModelForCausalLM takes.

    Raises:
        InputError: there is no such class, or none for this config.
    """
    transformers = import_transformers()
    kind: Any = _named(transformers, model_class) if isinstance(model_class, str) else model_class
    architectures = getattr(config, "architectures", None) or []
    if kind is None and trust_remote_code and folder is not None:
        kind = _own_class(config, folder)
    if kind is None:
        kind = next(
            (getattr(transformers, name) for name in architectures if hasattr(transformers, name)), None
        )
    if kind is None:
        kind = transformers.AutoModelForCausalLM
    mapping = getattr(kind, "_model_mapping", None)
    if mapping is not None:
        if type(config) not in mapping:
            raise InputError(
                f"{kind.__name__} has no class for a config of type {type(config).__name__}",
                hint=f"pass model_class; the config names {architectures or 'no architecture'}",
            )
        found = mapping[type(config)]
        candidates = found if isinstance(found, list | tuple) else (found,)
        kind = next((one for one in candidates if one.__name__ in architectures), candidates[0])
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise InputError(
            f"model_class must be a transformers model class or its name, not {kind!r}",
            hint="leave it out to take what the config names, or write one such as AutoModelForCausalLM",
        )
    text_config_class = getattr(config, "sub_configs", {}).get("text_config")
    own_config_class = getattr(kind, "config_class", None)
    if own_config_class is not None and own_config_class is text_config_class is not type(config):
        config = config.get_text_config()
    return kind, config


def choose_dtype(
    config: Any, asked: torch.dtype | str | None, checkpoint: Checkpoint | None = None
) -> torch.dtype:
    """The dtype that a model computes in: `asked`, else the config's, else that of the first floating weight.

    Raises:
        InputError: it is not a floating dtype that torch can compute in.
    """
    dtype = asked if asked is not None else getattr(config, "dtype", None)
    if isinstance(dtype, str):
        found = getattr(torch, dtype.removeprefix("torch."), None)
        if not isinstance(found, torch.dtype):
            known = [name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)]
            near = ", ".join(nearest_names(dtype, known)) or "bfloat16, float16 or float32"
            raise InputError(f"no such dtype: {dtype!r}", hint=f"did you mean {near}?")
        dtype = found
    if dtype is None and checkpoint is not None:
        first = checkpoint.files[0] if checkpoint.files else None
        stored = [meta.dtype for _, meta in sorted(checkpoint.tensors.items()) if meta.path == first]
        dtype = next((one for one in stored if one.is_floating_point and one.itemsize > 1), torch.float32)
    dtype = torch.float32 if dtype is None else dtype
    if not isinstance(dtype, torch.dtype):
        raise InputError(
            f"dtype must be a torch dtype or its name, not {type(dtype).__name__}",
            hint="write torch.bfloat16, or 'bfloat16'",
        )
    if not dtype.is_floating_point or dtype.itemsize < 2:
        raise InputError(
            f"a model cannot compute in {dtype}",
            hint="ask for bfloat16, float16 or float32, or leave dtype out to keep the checkpoint's",
        )
    return dtype


def _named(transformers: ModuleType, name: str) -> Any:
    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError) as err:
        near = nearest_names(name, dir(transformers))
        hint = f"did you mean {', '.join(near)}?" if near else None
        raise InputError(f"transformers has no class {name!r}", hint=hint) from err


def _own_class(config: Any, folder: Path) -> Any:
    """The class in the model's own Python files that its config asks for; None where it has none."""
    references = getattr(config, "auto_map", None) or {}
    wanted = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", "AutoModel")
    name = next((name for name in wanted if name in references), None)
    if name is None:
        return None
    from transformers.dynamic_module_utils import get_class_from_dynamic_module
    from transformers.models.auto.auto_factory import add_generation_mixin_to_remote_model

    kind: Any = get_class_from_dynamic_module(references[name], str(folder))
    # As the Auto class does: so that saving the model saves its code, and that it can generate.
    kind.register_for_auto_class(name)
    return add_generation_mixin_to_remote_model(kind)  # type: ignore[no-untyped-call]


def _first_line(err: Exception) -> str:
    return next((line for line in str(err).splitlines() if line.strip()), type(err).__name__)
