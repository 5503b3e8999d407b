"""Weights for planners and loaders: described only, or with real bytes in a file."""

import itertools
import math
from pathlib import Path

import torch
from torch import Tensor

from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import PHASE_BYTES, Piece, Use, Weight

FILE = Path("weights.bin")


def weight(index, shape, use=Use.ROWS, dtype=torch.bfloat16, *, stored=None, offset=0, parts=1, stride=None):
    """A weight that no file holds; with `parts`, its bytes lie in as many runs, apart from each other."""
    stored = stored or dtype
    nbytes = math.prod(shape) * stored.itemsize
    step = max(-(-nbytes // parts) // stored.itemsize * stored.itemsize, stored.itemsize)
    bounds = [*range(0, nbytes, step), nbytes][: parts + 1] if nbytes else []
    if bounds:
        bounds[-1] = nbytes
    segments = tuple(
        Segment(path=FILE, offset=offset + begin + 64 * number, nbytes=end - begin, begin=begin)
        for number, (begin, end) in enumerate(itertools.pairwise(bounds))
    )
    source = WeightSource(name=f"weight.{index}", shape=tuple(shape), dtype=stored, segments=segments)
    return Weight(
        index=index, source=source, dtype=dtype, use=use, stride=stride, phase=_phase(source, dtype)
    )


def _phase(source: WeightSource, dtype: torch.dtype) -> int:
    """That of the mapped file, where it can be mapped."""
    if len(source.segments) != 1 or source.codec is not None or source.dtype != dtype:
        return 0
    (segment,) = source.segments
    return 0 if segment.offset % dtype.itemsize else segment.offset % PHASE_BYTES


def piece_of(whole: Weight, rows: tuple[int, int] | None = None, index: int = 0) -> Piece:
    """Some rows of a weight, or all of them."""
    first, last = rows or (0, whole.shape[0] if whole.shape else 1)
    return Piece(index=index, weight=whole, first_row=first, last_row=last)


class WeightFile:
    """A file that weights are appended to, each as it shall lie there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.weights: list[Weight] = []
        self.values: list[Tensor] = []
        self._data = bytearray(b"\xee" * 64)

    def add(self, value: Tensor, use=Use.ROWS, dtype=None, *, align=8, parts=1) -> Weight:
        """Append `value`, in `parts` runs with rubbish between them, each at a multiple of `align` bytes."""
        rows = value.shape[0] if value.dim() else 1
        raw = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        row_bytes = len(raw) // rows if rows else 0
        cuts = sorted({rows * part // parts * row_bytes for part in range(parts + 1)})
        segments = []
        for begin, end in itertools.pairwise(cuts):
            self._data += b"\xee" * (-len(self._data) % align)
            segments.append(Segment(path=self.path, offset=len(self._data), nbytes=end - begin, begin=begin))
            self._data += raw[begin:end]
            self._data += b"\xee" * 8
        self._append(value, value.dtype, segments, use, dtype, None)
        return self.weights[-1]

    def add_encoded(
        self, value: Tensor, runs: list[bytes], begins: list[int], codec: str, use=Use.ROWS
    ) -> Weight:
        """Append encoded runs, each of which decodes to the bytes of `value` from its begin to the next."""
        segments = []
        for run, begin in zip(runs, begins, strict=True):
            segments.append(Segment(path=self.path, offset=len(self._data), nbytes=len(run), begin=begin))
            self._data += run
        self._append(value, value.dtype, segments, use, None, codec)
        return self.weights[-1]

    def close(self) -> Path:
        """Write the file."""
        self.path.write_bytes(self._data)
        return self.path

    def _append(self, value, stored, segments, use, dtype, codec) -> None:
        index = len(self.weights)
        source = WeightSource(
            name=f"weight.{index}",
            shape=tuple(value.shape),
            dtype=stored,
            segments=tuple(segments),
            codec=codec,
        )
        dtype = dtype or stored
        phase = _phase(source, dtype)
        self.weights.append(Weight(index=index, source=source, dtype=dtype, use=use, phase=phase))
        self.values.append(value if dtype is None else value.to(dtype))
