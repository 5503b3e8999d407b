"""The tensors of a run, known by their descriptions: what is compared, whatever it was read from."""

__all__ = ["Record", "Recording", "Refusal"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One tensor of a run. Only `read` fetches its bytes."""

    name: str
    """How people know it; unique within its recording and rank. For a file `0_query_final` (its path below
    the dump without suffix), for a tensor within a file `file/key` or `file/key[0]`, for a recorded call
    the module's name and what of it: `model.layers.3.mlp.output`."""
    sequence: int
    """Its place in the order of execution where `Recording.is_ordered`, else just in the listing."""
    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor] = field(repr=False, compare=False)
    """The tensor, on the CPU, not to be written to; each call may read anew. Dense and real numbers, bools
    and complex numbers as they are; quantized and sparse ones as `readers` explains.

    Raises:
        StoreError: the bytes cannot be read.
    """
    is_unpacked: bool = False
    """Whether `read` unpacks all numbers anew, into memory of their own: that takes a while, and what becomes
    of the file afterwards does not change them. Other tensors may be pages of a file, which end the process
    (SIGBUS) where they are touched after somebody cut it short."""
    module: str | None = None
    """Qualified name of the module that it came from; None where it came from none."""
    kind: str = "tensor"
    """`outputs`, `inputs`, `gradients`, `parameters`, `optimizer`; `tensor` where nobody knows."""
    step: int = 0
    """In which step of the run."""
    call: int = 0
    """How many times the module had been called before in that step."""
    rank: int = 0
    """Of which process of the run."""
    mesh: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Coordinates of the rank by axis, `tp` to 1 for example; empty where not known."""
    placement: str | None = None
    """How the ranks hold the whole tensor, where known: `Shard(0)`, `Replicate()`, `Partial(sum)`."""
    digest: str | None = None
    """Of its bytes, where one was written down, with the name of the algorithm before a colon."""
    nan_count: int | None = None
    """NaN that were counted when it was recorded."""
    inf_count: int | None = None
    """Infinities that were counted when it was recorded."""

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return self.elements * self.dtype.itemsize

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that was met and is not compared."""

    entry: str
    """Which: a file, an entry of an archive, a key in a file."""
    reason: str
    """Why, and what would help."""
    hint: str | None = field(default=None, compare=False)
    """What would help, where the reason does not say it."""


class Recording:
    """The records of one run, or of one rank of it; close it, or use it in `with`."""

    def __init__(
        self,
        *,
        label: str,
        records: Sequence[Record],
        refused: Sequence[Refusal] = (),
        is_ordered: bool = False,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """`close` gives back files and temporary folders that `Record.read` needs; called at most once."""
        self.label = label
        """What the user gave: a path, or `(in memory)`."""
        self.records = tuple(records)
        """By rank, then by `sequence`."""
        self.refused = tuple(refused)
        """What was met and left out, by name."""
        self.is_ordered = is_ordered
        """Whether `sequence` is the order of execution."""
        self._close = close
        self._is_open = True

    def close(self) -> None:
        """Give everything back; may be called twice."""
        if self._is_open:
            self._is_open = False
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
