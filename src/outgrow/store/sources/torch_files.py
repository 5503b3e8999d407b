"""Files that `torch.save` wrote: `.pt`, `.pth`, `.bin`, alone or sharded with an index. No code in them is
ever run."""

__all__ = ["TorchFiles"]

import errno
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store.checkpoint import read_index
from outgrow.store.header import StoreCorrupt
from outgrow.store.sources.source import Source, cast
from outgrow.store.writer import TensorSpec

_SUFFIXES = (".bin", ".pt", ".pth")
_NAMES = ("pytorch_model.bin.index.json", "pytorch_model.bin", "model.pt", "model.pth", "consolidated.00.pth")
_ZIP_MAGIC = b"PK\x03\x04"
# What torch wrote before 1.6, still readable but not to be mapped: a pickled magic number comes first.
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Where training programs put the weights among the rest of a run's state.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# What makes a directory of weights a model: small, and none of it code.
_COMPANIONS = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "LICENSE*", "README.md")
_COMPANION_LIMIT_BYTES = 2**28


class TorchFiles:
    """The `SourceFormat` of `torch.save`. The files are mapped, so that only the tensor being written is in
    memory."""

    def find(self, path: Path) -> tuple[Path, ...]:
        """As `SourceFormat.find`."""
        if path.is_dir():
            found = next((path / name for name in _NAMES if (path / name).is_file()), None)
            alone = [file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file()]
            path = found or (alone[0] if len(alone) == 1 else path)
        if path.name.endswith(".bin.index.json"):
            places, _ = read_index(path)
            files = tuple(sorted({path.parent / name for name in places.values()}))
            missing = [file.name for file in files if not file.is_file()]
            if missing:
                raise InputError(
                    f"the index {str(path)!r} names missing files: {', '.join(missing)}",
                    hint="download them again",
                )
            return files
        return (path,) if path.suffix in _SUFFIXES and path.is_file() else ()

    def open(self, files: tuple[Path, ...], dtype: torch.dtype | None) -> Source:
        """As `SourceFormat.open`; without a `dtype` every tensor keeps its own."""
        specs: list[TensorSpec] = []
        seen: dict[str, Path] = {}
        for file in files:
            for name, tensor in _load(file).items():
                if name in seen:
                    raise InputError(
                        f"the name {name!r} is in both {seen[name].name!r} and {file.name!r}",
                        hint="keep only the files of one checkpoint in the directory, or give their index",
                    )
                seen[name] = file
                own = dtype if dtype is not None and tensor.dtype.is_floating_point else tensor.dtype
                specs.append((name, tuple(tensor.shape), own, _caster(tensor, dtype)))
        root = files[0].parent
        return Source(specs=tuple(specs), write_companions=lambda target: _copy_companions(root, target))


def _caster(tensor: Tensor, dtype: torch.dtype | None) -> Callable[[], Tensor]:
    return lambda: cast(tensor, dtype)


def _load(file: Path) -> Mapping[str, Tensor]:
    try:
        with file.open("rb") as opened:
            first = opened.read(len(_LEGACY_MAGIC))
        is_zip = first.startswith(_ZIP_MAGIC)
        if not is_zip and first != _LEGACY_MAGIC:
            raise StoreCorrupt(f"{str(file)!r} is not a file that torch wrote", hint="is it whole?")
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as err:
        raise InputError(
            f"{str(file)!r} holds more than tensors, or is damaged: {str(err).splitlines()[0]}",
            hint="outgrow runs no code from files; save the model's `state_dict()` alone and convert that",
        ) from err
    except (RuntimeError, EOFError, ValueError, KeyError) as err:
        reason = (str(err) or type(err).__name__).splitlines()[0]
        raise StoreCorrupt(
            f"{str(file)!r} is not a whole torch file: {reason}", hint="download it again"
        ) from err
    except OSError as err:
        # torch looks for a truncated archive's directory before its beginning.
        if err.errno == errno.EINVAL:
            raise StoreCorrupt(f"{str(file)!r} is not a whole torch file", hint="download it again") from err
        raise StoreError(f"cannot read {str(file)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    for name in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"{str(file)!r} holds no tensors by name but a {type(content).__name__}",
            hint="save the state_dict() of the model with torch.save, and convert that",
        )
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not all(isinstance(name, str) for name in content):
        examples = ", ".join(others[:3]) or "names that are not text"
        raise InputError(
            f"{str(file)!r} holds other things than tensors by name: {examples}",
            hint=f"weights are looked for at the top and under {', '.join(_WRAPPERS)}",
        )
    return content


def _copy_companions(root: Path, target: Path) -> None:
    if not (root / "config.json").is_file():
        return
    for pattern in _COMPANIONS:
        for file in sorted(root.glob(pattern)):
            if file.name.endswith(".index.json") or not file.is_file():
                continue
            if file.stat().st_size <= _COMPANION_LIMIT_BYTES:
                shutil.copyfile(file, target / file.name)
