"""GGUF files: weights of llama.cpp, unpacked one by one and given their Hugging Face names."""

__all__ = ["GgufFiles"]

import importlib
import re
import struct
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.store.header import StoreCorrupt
from outgrow.store.sources.source import Source
from outgrow.store.writer import TensorSpec

_NEWER = "a newer transformers may: pip install -U transformers; or take the model in another format"
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_INSTALL = "pip install 'outgrow[hf]'"


class GgufFiles:
    """The `SourceFormat` of GGUF, alone or split into `-00001-of-0000N.gguf`.

    Names, the order of rows within attention heads, configuration and tokenizer are those that transformers
    gives when it opens a GGUF file, so that the converted model is the one that transformers would have
    loaded.
    """

    def find(self, path: Path) -> tuple[Path, ...]:
        """As `SourceFormat.find`."""
        if path.is_dir():
            files = sorted(file for file in path.glob("*.gguf") if file.is_file())
            firsts = [
                file for file in files if not (m := _SPLIT.fullmatch(file.name)) or int(m["number"]) == 1
            ]
            if len(firsts) > 1:
                names = ", ".join(file.name for file in firsts)
                raise InputError(
                    f"{str(path)!r} has several GGUF models: {names}", hint="give the path of one"
                )
            if not firsts:
                return ()
            path = firsts[0]
        if path.suffix != ".gguf" or not path.is_file():
            return ()
        split = _SPLIT.fullmatch(path.name)
        if split is None:
            return (path,)
        count = int(split["count"])
        files = [path.with_name(f"{split['stem']}-{n:05d}-of-{count:05d}.gguf") for n in range(1, count + 1)]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(
                f"{path.name!r} is one of {count} files, missing are: {', '.join(missing)}",
                hint="download them into the same directory",
            )
        return tuple(files)

    def open(self, files: tuple[Path, ...], dtype: torch.dtype | None) -> Source:
        """As `SourceFormat.open`; without a `dtype` the tensors become bfloat16."""
        dtype = torch.bfloat16 if dtype is None else dtype
        if not dtype.is_floating_point or dtype.itemsize < 2:
            raise InputError(
                f"a GGUF file cannot be unpacked to {dtype}", hint="choose bfloat16, float16 or float32"
            )
        gguf = _import("gguf")
        packed: dict[str, Any] = {}
        architecture = ""
        for file in files:
            reader = _read(gguf, file)
            packed.update((tensor.name, tensor) for tensor in reader.tensors)
            architecture = architecture or _architecture(reader, file)
        model = _empty_model(files[0], architecture, packed, dtype)
        specs = _specs(gguf, model, architecture, packed, dtype)

        tokenizer = _tokenizer(files[0])

        def write_companions(target: Path) -> None:
            model.config.save_pretrained(target)
            if model.can_generate():
                model.generation_config.save_pretrained(target)
            tokenizer.save_pretrained(target)

        return Source(specs=specs, write_companions=write_companions)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as err:
        raise InputError(
            f"converting GGUF files needs the package {name.split('.')[0]!r}", hint=_INSTALL
        ) from err


def _read(gguf: Any, file: Path) -> Any:
    try:
        return gguf.GGUFReader(file)
    except (ValueError, IndexError, KeyError, OverflowError, struct.error) as err:
        raise StoreCorrupt(
            f"{str(file)!r} is not a whole GGUF file: {err}",
            hint="the download may have been cut short: repeat it",
        ) from err


def _architecture(reader: Any, file: Path) -> str:
    """llama.cpp's name for the kind of model."""
    field = reader.get_field("general.architecture")
    name = None if field is None else field.contents()
    if not isinstance(name, str):
        raise StoreCorrupt(
            f"{str(file)!r} does not say what model it is",
            hint="download it again; a file without general.architecture is of no model",
        )
    # Other operations than those used here make these; the weights would look right and not be.
    if name in _transformed():
        raise InputError(
            f"GGUF models of the kind {name!r} cannot be converted tensor by tensor",
            hint="load it with transformers' `from_pretrained(..., gguf_file=...)` and `save_pretrained` it",
        )
    return name


def _transformed() -> Collection[str]:
    """The kinds for which newer versions of transformers keep a list of operations."""
    try:
        found: Collection[str] = importlib.import_module("transformers.integrations.gguf").GGUF_ARCHS
    except ImportError:
        return ()
    return found


def _empty_model(file: Path, architecture: str, packed: Mapping[str, Any], dtype: torch.dtype) -> Any:
    """The model that transformers would make of the file, without memory."""
    transformers = _import("transformers")
    try:
        config = transformers.AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
        # transformers looks for a head in the first file of a split model only.
        if "output.weight" in packed:
            config.tie_word_embeddings = False
        config.dtype = dtype
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    except (ValueError, KeyError, NotImplementedError) as err:
        raise InputError(
            f"transformers cannot open {architecture!r} models such as {str(file)!r}: {err}",
            hint=_NEWER,
        ) from err
    model.config.architectures = [type(model).__name__]
    model.config._name_or_path = ""
    return model


def _tokenizer(file: Path) -> Any:
    transformers = _import("transformers")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    # The tokenizers package raises bare exceptions for vocabularies that contradict themselves.
    except Exception as err:
        raise InputError(
            f"the tokenizer of {str(file)!r} cannot be converted: {err}",
            hint=_NEWER,
        ) from err
    # The source's directory is nobody else's business.
    tokenizer.name_or_path = ""
    return tokenizer


def _names(gguf: Any, model: Any, architecture: str, processor: Any) -> dict[str, str]:
    """Each name that a GGUF file may use, and the model's own for it."""
    known = next((arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture), None)
    if known is None:
        raise InputError(
            f"the package 'gguf' does not know {architecture!r} models", hint="pip install --upgrade gguf"
        )
    table = gguf.get_tensor_name_map(known, model.config.get_text_config().num_hidden_layers)
    found: dict[str, str] = {}
    # Some were converted from the model without its head, where names lack the first part or two.
    for depth in range(3):
        for full in model.state_dict():
            parts = full.split(".")
            prefix = "".join(f"{part}." for part in parts[:depth])
            own = processor.preprocess_name(".".join(parts[depth:]))
            stem, dot, kind = own.rpartition(".")
            name, suffix = (stem, dot + kind) if kind in ("weight", "bias") else (own, "")
            packed = table.get_name(name) if name else None
            if packed is not None:
                found.setdefault(packed + suffix, prefix + own)
            elif name:
                more: dict[str, str] = {}
                processor.perform_fallback_tensor_mapping(more, suffix, prefix, own)
                found = more | found
    return found


def _specs(
    gguf: Any, model: Any, architecture: str, packed: Mapping[str, Any], dtype: torch.dtype
) -> tuple[TensorSpec, ...]:
    """What to write: each parameter of the model, and the packed tensors that make it.

    Raises:
        InputError: a parameter has no counterpart in the file, or a tensor of the file none in the model.
    """
    processing = _import("transformers.modeling_gguf_pytorch_utils")
    kind = processing.TENSOR_PROCESSORS.get(architecture, processing.TensorProcessor)
    processor = kind(config=model.config.to_dict())
    names = _names(gguf, model, architecture, processor)
    parts: dict[str, list[Any]] = {}
    orphans = []
    for name, tensor in packed.items():
        # Merged experts: their packed names carry a suffix that the parameter of the model has not.
        target = names.get(name) or names.get(name.removesuffix(".weight"))
        if target is not None:
            parts.setdefault(target, []).append(tensor)
        elif not _is_without_effect(gguf, tensor):
            orphans.append(name)
    # Tied parameters occur once here, so that the tied head is not written a second time.
    wanted = {name: tuple(value.shape) for name, value in model.named_parameters()}
    kept = model.state_dict().keys()
    wanted |= {name: tuple(value.shape) for name, value in model.named_buffers() if name in kept}
    lacking = sorted(wanted.keys() - parts.keys())
    surplus = orphans + sorted(parts.keys() - wanted.keys())
    if lacking or surplus:
        raise InputError(
            f"this {architecture!r} model cannot be converted without loss: {type(model).__name__} has no "
            f"place for {len(surplus)} tensors of the file ({', '.join(surplus[:3]) or 'none'}), and "
            f"{len(lacking)} of its parameters are not in the file ({', '.join(lacking[:3]) or 'none'})",
            hint="convert the original checkpoint instead of its GGUF version",
        )
    return tuple(
        (name, shape, dtype, _maker(gguf, processor, names, name, parts[name], shape, dtype))
        for name, shape in wanted.items()
    )


def _is_without_effect(gguf: Any, tensor: Any) -> bool:
    """Whether a tensor that transformers does not know changes nothing: factors of the rotation that are all
    one."""
    return tensor.name == "rope_freqs.weight" and bool(
        np.all(gguf.dequantize(tensor.data, tensor.tensor_type) == 1.0)
    )


def _maker(
    gguf: Any,
    processor: Any,
    names: Mapping[str, str],
    target: str,
    parts: list[Any],
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> Callable[[], Tensor]:
    def make() -> Tensor:
        made: dict[str, Tensor] = {}
        for part in parts:
            weights = gguf.dequantize(part.data, part.tensor_type)
            done = processor.process(
                weights=weights, name=part.name, tensor_key_mapping=names, parsed_parameters={"tensors": made}
            )
            if done.name in names:
                made[names[done.name]] = torch.from_numpy(np.require(done.weights, requirements=("C", "W")))
        tensor = made.get(target)
        if tensor is None or tuple(tensor.shape) != shape:
            found = None if tensor is None else tuple(tensor.shape)
            raise InputError(
                f"weight {target!r} should have shape {shape} but the GGUF file gives {found}",
                hint=_NEWER,
            )
        return tensor.to(dtype)

    return make
