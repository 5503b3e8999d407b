"""`.safetensors`: the header as `outgrow.store` reads it, the numbers mapped."""

__all__ = ["SafetensorsFiles"]

from pathlib import Path

from torch import Tensor

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import COPY_AGAIN, raise_limit
from outgrow.compare.readers.file_reader import FileContent, FoundTensor
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.plain_file import PlainFile
from outgrow.errors import InputError
from outgrow.store.header import TensorMeta, parse_header

# What a name, a dtype, a shape of a few dims and two offsets may bring of each. Counting them bounds what
# Python makes of the JSON before any of it is made.
_PER_TENSOR = {b"[": 2, b"{": 1, b",": 16, b'"': 10}
_MAX_NAME = 1024
_SLACK = 10_000


class SafetensorsFiles:
    """The `FileReader` of safetensors files."""

    def read(
        self, path: Path, entry: str, limits: Limits, region: tuple[int, int] | None = None
    ) -> FileContent:
        """As `FileReader.read`. Tensors that the header lies about are refused, the others are read."""
        file = PlainFile.of(path, region, entry)
        raw = _raw_header(file, limits)
        metas, _, problems = parse_header(raw, Path(entry), file_bytes=file.length)
        refused = [
            Refusal(
                entry=entry if problem.tensor is None else f"{entry}/{problem.tensor}",
                reason=problem.error.message,
                hint=problem.error.hint,
            )
            for problem in problems
        ]
        bad = {problem.tensor for problem in problems}
        records = []
        for meta in metas.values():
            if meta.name in bad:
                continue
            if len(meta.name) > _MAX_NAME:
                reason = f"has a name of {len(meta.name):,} characters; the most is {_MAX_NAME:,}"
                refused.append(Refusal(entry=f"{entry}/{meta.name[:100]}...", reason=reason))
                continue
            if "float4" in str(meta.dtype):
                reason = f"{meta.dtype} (two numbers in a byte) has no arithmetic in torch"
                refused.append(Refusal(entry=f"{entry}/{meta.name}", reason=reason))
                continue
            records.append(_found(file, meta))
        if len(records) > limits.max_entries:
            raise InputError(
                f"holds {len(records):,} tensors; the limit max_entries is {limits.max_entries:,}",
                hint=raise_limit("max_entries"),
            )
        return FileContent(records=tuple(records), refused=tuple(refused))


def _raw_header(file: PlainFile, limits: Limits) -> bytes:
    if file.length < 10:
        raise InputError(f"is not a safetensors file: it has {file.length} bytes", hint=COPY_AGAIN)
    first = file.read(0, 9)
    length = int.from_bytes(first[:8], "little")
    if first[8:] != b"{":
        raise InputError("is not a safetensors file: its header does not begin with '{'", hint=COPY_AGAIN)
    if 8 + length > file.length:
        raise InputError(
            f"has a header that ends at byte {8 + length:,} of {file.length:,}: cut short, or a lie",
            hint=COPY_AGAIN,
        )
    if length > limits.max_header_bytes:
        raise InputError(
            f"has a header of {length:,} bytes; the limit max_header_bytes is {limits.max_header_bytes:,}",
            hint=raise_limit("max_header_bytes"),
        )
    raw = file.read(8, length)
    for sign, each in _PER_TENSOR.items():
        if raw.count(sign) > _SLACK + each * limits.max_entries:
            raise InputError(
                f"has {raw.count(sign):,} {sign.decode()!r} in its header, more than "
                f"{limits.max_entries:,} tensors need (the limit max_entries)",
                hint=raise_limit("max_entries"),
            )
    return raw


def _found(file: PlainFile, meta: TensorMeta) -> FoundTensor:
    def read() -> Tensor:
        return file.tensor(meta.offset, meta.dtype, meta.shape)

    return FoundTensor(inner=meta.name, dtype=meta.dtype, shape=meta.shape, read=read)
