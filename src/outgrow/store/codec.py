"""Lossless codecs by name: the bytes of a weight to fewer bytes and back, exactly.

Measured with one thread of a busy 2-core machine, on 32 MB of bfloat16 (a Gaussian, which compresses like
real weights; the entropy bound of either is about 0.66), blosc2 4.14. Ratio is encoded to plain; GB/s are of
plain bytes.

| codec  | level | ratio | encode GB/s | decode GB/s |
|--------|-------|-------|-------------|-------------|
| blosc2 | 1     | 0.77  | 0.31        | 0.5-1.4     |
| blosc2 | 5     | 0.73  | 0.07        | 0.8-1.7     |
| blosc2 | 9     | 0.71  | 0.004       | 1.2         |
"""

__all__ = ["CODECS", "LEVELS", "Blosc2Codec", "Codec", "make_codec"]

import importlib
import struct
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from outgrow.errors import InputError, nearest_names
from outgrow.store.header import StoreCorrupt

_AGAIN = "the file is damaged or of another version: store the weights again"

LEVELS = range(1, 10)
"""From fastest to smallest."""


class Codec(Protocol):
    """Makes bytes fewer and gives them back exactly. Safe to call from several threads at once."""

    name: str
    """What the codec is called in `make_codec` and in files."""

    def encode(self, tensor_bytes: memoryview | bytes, itemsize: int, level: int) -> bytes:
        """`tensor_bytes` in fewer bytes; elements have `itemsize` bytes each, `level` is one of `LEVELS`.

        Raises:
            InputError: there is no such level, or no such element.
        """
        ...

    def decode_into(self, encoded: memoryview | bytes, into: memoryview) -> None:
        """Fill `into` with the bytes that `encode` was given; other threads run meanwhile.

        There is no checksum within: like a plain weight, an encoded one with a flipped bit is found by its
        digest (`store.verify`), and here only if it can no longer be decoded.

        Raises:
            InputError: `into` has another length than they.
            StoreCorrupt: `encoded` cannot be what `encode` gave.
        """
        ...


class Blosc2Codec:
    """Bits of equal meaning side by side (bitshuffle), then Zstandard; of the package `blosc2`.

    Encoded bytes are a header, the length of each part, and the parts. A part is 16 MiB of plain bytes:
    blosc2 takes less than 2 GiB at once, and what a part needs besides stays small.
    """

    name = "blosc2"

    # A version is part of the magic: what changes the format changes it.
    _MAGIC = b"outgrwb1"
    _HEADER = struct.Struct("<8sQQ")
    _LENGTH = struct.Struct("<I")
    _PART_BYTES = 2**24
    _OVERHEAD_BYTES = 32

    def __init__(self) -> None:
        try:
            self._blosc2: Any = importlib.import_module("blosc2")
        except ImportError as err:
            raise InputError(
                "the codec 'blosc2' needs the package blosc2", hint="pip install 'outgrow[codec]'"
            ) from err
        # Of the whole process, and off from the start: with it on, decoding would stop every other thread.
        self._blosc2.set_releasegil(True)

    def encode(self, tensor_bytes: memoryview | bytes, itemsize: int, level: int) -> bytes:
        """As `Codec.encode`."""
        if level not in LEVELS:
            raise InputError(
                f"there is no compression level {level}", hint="1 is the fastest, 9 the smallest"
            )
        if not 1 <= itemsize <= 255:
            raise InputError(
                f"elements cannot have {itemsize} bytes", hint="give the bytes of one element: 1 to 255"
            )
        plain = memoryview(tensor_bytes).cast("B")
        parts = [
            self._blosc2.compress2(
                plain[start : start + self._PART_BYTES],
                codec=self._blosc2.Codec.ZSTD,
                clevel=level,
                typesize=itemsize,
                filters=[self._blosc2.Filter.BITSHUFFLE],
                filters_meta=[0],
                nthreads=1,
            )
            for start in range(0, plain.nbytes, self._PART_BYTES)
        ]
        lengths = (self._LENGTH.pack(len(part)) for part in parts)
        return b"".join((self._HEADER.pack(self._MAGIC, plain.nbytes, self._PART_BYTES), *lengths, *parts))

    def decode_into(self, encoded: memoryview | bytes, into: memoryview) -> None:
        """As `Codec.decode_into`."""
        source, target = memoryview(encoded).cast("B"), into.cast("B")
        parts = self._parts(source, target.nbytes)
        for (start, stop), begin in zip(
            parts, range(0, target.nbytes, self._part_bytes(source)), strict=True
        ):
            part = source[start:stop]
            place = target[begin : begin + self._part_bytes(source)]
            # blosc2 trusts these numbers; were they wrong, it would write past the end of `into`.
            if self._blosc2.get_cbuffer_sizes(part)[:2] != (place.nbytes, part.nbytes):
                raise StoreCorrupt("encoded bytes contradict their own header: they are damaged", hint=_AGAIN)
            try:
                self._blosc2.decompress2(part, place, nthreads=1)
            except (RuntimeError, ValueError) as err:
                raise StoreCorrupt(f"encoded bytes cannot be decoded: {err}", hint=_AGAIN) from err

    def _part_bytes(self, source: memoryview) -> int:
        part_bytes: int = self._HEADER.unpack_from(source)[2]
        return part_bytes

    def _parts(self, source: memoryview, nbytes: int) -> list[tuple[int, int]]:
        """Where each part lies in `source`, which must hold `nbytes` plain bytes."""
        if source.nbytes < self._HEADER.size or bytes(source[:8]) != self._MAGIC:
            raise StoreCorrupt(
                "these bytes were not encoded by the codec 'blosc2', or by another version of it", hint=_AGAIN
            )
        _, found, part_bytes = self._HEADER.unpack_from(source)
        if found != nbytes:
            raise InputError(
                f"the encoded bytes hold {found:,} plain bytes but there is room for {nbytes:,}",
                hint="give memory of as many bytes as were encoded",
            )
        if not 0 < part_bytes < 2**31:
            raise StoreCorrupt("encoded bytes contradict their own header: they are damaged", hint=_AGAIN)
        count = -(-nbytes // part_bytes)
        position = self._HEADER.size + count * self._LENGTH.size
        if position > source.nbytes:
            raise StoreCorrupt("encoded bytes are cut short", hint=_AGAIN)
        parts = []
        for index in range(count):
            (length,) = self._LENGTH.unpack_from(source, self._HEADER.size + index * self._LENGTH.size)
            parts.append((position, position + length))
            position += length
            if length < self._OVERHEAD_BYTES:
                raise StoreCorrupt("encoded bytes contradict their own header: they are damaged", hint=_AGAIN)
        if position != source.nbytes:
            raise StoreCorrupt(
                f"encoded bytes should end at {position:,} but there are {source.nbytes:,}", hint=_AGAIN
            )
        return parts


CODECS: Mapping[str, Callable[[], Codec]] = {"blosc2": Blosc2Codec}
"""Every codec by name."""


def make_codec(name: str) -> Codec:
    """The codec called `name`.

    Raises:
        InputError: no codec has that name, or the package that it needs is not installed.
    """
    if name not in CODECS:
        known = nearest_names(name, CODECS) or tuple(CODECS)
        raise InputError(f"no codec is called {name!r}", hint=f"choose one of {', '.join(known)}")
    return CODECS[name]()
