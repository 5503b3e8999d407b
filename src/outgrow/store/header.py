"""The header of a safetensors file: from bytes to `TensorMeta` and back. No weight is read here.

A header is read as if an enemy had written it: every length, offset and shape is checked against the file's
true size before anything is believed. What the format forbids (holes, overlaps, trailing bytes) is refused
here as it is by the `safetensors` library, so that a file one of the two opens is a file that both open.
"""

__all__ = [
    "DTYPES",
    "HEADER_LIMIT_BYTES",
    "HeaderProblem",
    "StoreCorrupt",
    "TensorMeta",
    "encode_header",
    "inspect_header",
    "parse_header",
    "read_header",
]

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from outgrow.errors import InputError, OutgrowError, StoreError, hint_for

HEADER_LIMIT_BYTES = 100_000_000
"""The longest header that the `safetensors` library accepts; a longer one is damage or an attack."""

_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F4": "float4_e2m1fn_x2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
    "BOOL": "bool", "C64": "complex64",
}  # fmt: skip
DTYPES: Mapping[str, torch.dtype] = {
    code: getattr(torch, name) for code, name in _NAMES.items() if hasattr(torch, name)
}
"""Every dtype that a safetensors file can name and this torch can hold, by its name in the file."""

# As many as torch computes with; it also keeps the product of a hostile shape cheap.
_MAX_DIMS = 64
_CODES = {dtype: code for code, dtype in DTYPES.items()}
# Known to the format, unknown to torch: the file may be sound, so the reader is told that and not "corrupt".
_FOREIGN = frozenset(_NAMES) | {"F6_E2M3", "F6_E3M2"}
_VERIFY = (
    "the download was cut short or the file was overwritten; run `outgrow store verify {}` to list all damage"
)


class StoreCorrupt(StoreError):
    """A file of tensors contradicts itself or is shorter than it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMeta:
    """One tensor in a checkpoint file: all that can be known without reading it."""

    name: str
    """Its name in the file."""
    dtype: torch.dtype
    """What torch calls its elements; two 4-bit numbers count as one element, as torch counts them."""
    shape: tuple[int, ...]
    """Its shape in torch."""
    path: Path
    """The file that holds it."""
    offset: int
    """Where its first byte is, counted from the beginning of the file."""
    nbytes: int
    """How many bytes it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderProblem:
    """One thing that is wrong with a file, and the error that says so."""

    tensor: str | None
    """The tensor it concerns; None where it is the file as a whole."""
    error: OutgrowError
    """What `read_header` would raise."""


def read_header(path: Path | str) -> tuple[dict[str, TensorMeta], dict[str, str]]:
    """The tensors of a safetensors file in the order in which they lie in it, and the file's own metadata.

    Reads the header alone.

    Raises:
        InputError: there is no such file, or a tensor's dtype is one that torch does not have.
        StoreCorrupt: the file contradicts itself or is too short; only the first such thing is named.
        StoreError: the file cannot be read.
    """
    metas, metadata, problems = inspect_header(path)
    if problems:
        raise problems[0].error
    return metas, metadata


def inspect_header(
    path: Path | str,
) -> tuple[dict[str, TensorMeta], dict[str, str], tuple[HeaderProblem, ...]]:
    """As `read_header`, but with every problem listed; the tensors without a problem are returned all the
    same.

    Raises:
        InputError: there is no such file.
        StoreError: the file cannot be read.
    """
    path = Path(path)
    raw, file_bytes, early = _read_raw(path)
    if early is not None:
        return {}, {}, (HeaderProblem(tensor=None, error=early),)
    return parse_header(raw, path, file_bytes=file_bytes)


def parse_header(
    raw: bytes, path: Path, *, file_bytes: int
) -> tuple[dict[str, TensorMeta], dict[str, str], tuple[HeaderProblem, ...]]:
    """As `inspect_header`, of a header that was read already, without the 8 bytes of its length.

    For files that lie within another one: `path` is only what errors call it, and offsets count from where
    the safetensors file begins, which has `file_bytes` bytes.
    """
    try:
        entries = json.loads(raw.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as err:
        error = StoreCorrupt(f"the header of {str(path)!r} cannot be understood: {err}", hint=_hint(path))
        error.__cause__ = err
        return {}, {}, (HeaderProblem(tensor=None, error=error),)
    if not isinstance(entries, dict):
        error = StoreCorrupt(f"the header of {str(path)!r} is not a JSON object", hint=_hint(path))
        return {}, {}, (HeaderProblem(tensor=None, error=error),)
    problems: list[HeaderProblem] = []
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        error = StoreCorrupt(f"the metadata of {str(path)!r} must be text by name", hint=_hint(path))
        problems.append(HeaderProblem(tensor=None, error=error))
        metadata = {}
    metas: list[TensorMeta] = []
    for name, entry in entries.items():
        try:
            metas.append(_meta(name, entry, path, start=8 + len(raw), file_bytes=file_bytes))
        except (InputError, StoreCorrupt) as err:
            problems.append(HeaderProblem(tensor=name, error=err))
    metas.sort(key=lambda meta: (meta.offset, meta.nbytes))
    # With an entry missing its bytes are a hole: say only what is wrong, not what follows from it.
    if not problems:
        problems.extend(_layout_problems(metas, path, start=8 + len(raw), file_bytes=file_bytes))
    return {meta.name: meta for meta in metas}, metadata, tuple(problems)


def encode_header(
    specs: Iterable[tuple[str, tuple[int, ...], torch.dtype]],
    metadata: Mapping[str, str] | None = None,
    *,
    alignment: int = 4096,
) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """A header with its length before it, padded so that the data begins at a multiple of `alignment` bytes.

    Returns the bytes, and each tensor's offset in the file and size. The tensors lie in the order given.

    Raises:
        InputError: a name twice or reserved, a dtype that safetensors has not, or a header over the format's
            limit.
    """
    entries: dict[str, object] = {}
    if metadata:
        if {type(text) for pair in metadata.items() for text in pair} != {str}:
            raise InputError(
                "the metadata of a safetensors file must be text by name",
                hint="turn keys and values into text: str(...), or json.dumps(...)",
            )
        entries["__metadata__"] = dict(metadata)
    places: dict[str, tuple[int, int]] = {}
    end = 0
    for name, shape, dtype in specs:
        if name in entries or name == "__metadata__":
            raise InputError(
                f"a safetensors file cannot hold the name {name!r} twice or as a tensor",
                hint="give every tensor a name of its own, other than __metadata__",
            )
        code = _CODES.get(dtype)
        if code is None:
            raise InputError(
                f"tensor {name!r} has dtype {dtype}, which safetensors files cannot hold",
                hint="convert it first; complex128 can be stored as `torch.view_as_real(tensor)`",
            )
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        file_shape = [*shape[:-1], shape[-1] * 2] if code == "F4" and shape else list(shape)
        if code == "F4" and not shape:
            raise InputError(
                f"tensor {name!r}: a pair of 4-bit numbers needs a dim of its own",
                hint="give it a shape of one dim: tensor.reshape(1)",
            )
        entries[name] = {"dtype": code, "shape": file_shape, "data_offsets": [begin, end]}
        places[name] = (begin, end - begin)
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % alignment)
    if len(text) > HEADER_LIMIT_BYTES:
        raise InputError(
            f"a header of {len(text):,} bytes is over the format's limit of {HEADER_LIMIT_BYTES:,}",
            hint="write several files, with fewer tensors or shorter names in each",
        )
    start = 8 + len(text)
    placed = {name: (start + begin, nbytes) for name, (begin, nbytes) in places.items()}
    return len(text).to_bytes(8, "little") + text, placed


def _read_raw(path: Path) -> tuple[bytes, int, StoreCorrupt | None]:
    try:
        with path.open("rb") as file:
            file_bytes = file.seek(0, 2)
            file.seek(0)
            first = file.read(9)
            length = int.from_bytes(first[:8], "little")
            if file_bytes < 10:
                return b"", file_bytes, _not_safetensors(path, f"it has {file_bytes} bytes")
            if first[8:] != b"{":
                return b"", file_bytes, _not_safetensors(path, "its header does not begin with '{'")
            if length > HEADER_LIMIT_BYTES:
                return b"", file_bytes, _not_safetensors(path, f"its header would have {length:,} bytes")
            if 8 + length > file_bytes:
                ends = f"ends at byte {8 + length:,} but the file has {file_bytes:,} bytes"
                error = StoreCorrupt(f"the header of {str(path)!r} {ends}", hint=_hint(path))
                return b"", file_bytes, error
            file.seek(8)
            raw = file.read(length)
    except FileNotFoundError as err:
        raise InputError(
            f"no such file: {str(path)!r}",
            hint="look at the spelling; a file that was there a moment ago was moved or removed",
        ) from err
    except IsADirectoryError as err:
        raise InputError(
            f"{str(path)!r} is a directory, not a safetensors file",
            hint="give a file in it, or open the whole directory with outgrow.store.open_checkpoint",
        ) from err
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    if len(raw) != length:
        message = f"the header of {str(path)!r} has {length:,} bytes but only {len(raw):,} could be read"
        return b"", file_bytes, StoreCorrupt(message, hint=_hint(path))
    return raw, file_bytes, None


def _not_safetensors(path: Path, why: str) -> StoreCorrupt:
    hint = "is it whole, and is it a .safetensors file? `outgrow store convert` reads GGUF and torch files"
    return StoreCorrupt(f"{str(path)!r} is not a safetensors file: {why}", hint=hint)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name!r} occurs twice")
        found[name] = value
    return found


def _meta(name: str, entry: object, path: Path, *, start: int, file_bytes: int) -> TensorMeta:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise _corrupt(name, path, "needs a dtype, a shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if code not in DTYPES:
        if code in _FOREIGN:
            raise InputError(
                f"weight {name!r} in {str(path)!r} is {code}, which torch {torch.__version__} has not",
                hint="ask for the checkpoint in another precision",
            )
        raise _corrupt(name, path, f"has an unknown dtype {code!r}")
    if not _are_counts(shape) or len(shape) > _MAX_DIMS:
        raise _corrupt(name, path, f"has a shape that is not a list of up to {_MAX_DIMS} counts")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _corrupt(name, path, f"has data_offsets that are not a range: {offsets!r}")
    dtype = DTYPES[code]
    if code == "F4":
        if not shape or shape[-1] % 2:
            raise InputError(
                f"weight {name!r} in {str(path)!r} is {code} of shape {shape}, which torch cannot hold",
                hint="torch keeps 4-bit numbers in pairs, so that the last dim must be even",
            )
        shape = [*shape[:-1], shape[-1] // 2]
    begin, end = offsets
    needed = math.prod(shape) * dtype.itemsize
    if needed != end - begin:
        raise _corrupt(
            name,
            path,
            f"has {end - begin:,} bytes but shape {shape} of {code} needs {needed:,}",
        )
    if start + end > file_bytes:
        raise _corrupt(name, path, f"ends at byte {start + end:,} but the file has {file_bytes:,} bytes")
    return TensorMeta(
        name=name, dtype=dtype, shape=tuple(shape), path=path, offset=start + begin, nbytes=end - begin
    )


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(part) is int and 0 <= part < 2**63 for part in value)


def _layout_problems(
    metas: list[TensorMeta], path: Path, *, start: int, file_bytes: int
) -> Iterable[HeaderProblem]:
    end = start
    for meta in metas:
        if meta.offset != end:
            what = "overlaps what is before it" if meta.offset < end else "leaves a hole before it"
            error = _corrupt(
                meta.name, path, f"begins at byte {meta.offset:,} and {what}, which ends at {end:,}"
            )
            yield HeaderProblem(tensor=meta.name, error=error)
        end = max(end, meta.offset + meta.nbytes)
    if end != file_bytes:
        message = (
            f"the last tensor of {str(path)!r} ends at byte {end:,} but the file has {file_bytes:,} bytes"
        )
        yield HeaderProblem(tensor=None, error=StoreCorrupt(message, hint=_hint(path)))


def _corrupt(name: str, path: Path, what: str) -> StoreCorrupt:
    return StoreCorrupt(f"weight {name!r} in {str(path)!r} {what}", hint=_hint(path))


def _hint(path: Path) -> str:
    return _VERIFY.format(path.parent)
