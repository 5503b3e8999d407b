"""Which entries of a parameter came to be at which change: those of one change are one cohort.

Optimizers count their steps once for a whole parameter, and Adam's bias correction needs the number of steps
that an entry has seen. So each cohort has the scalars (`step`, NAdam's `mu_product`) that a new optimizer
would have had if it had begun when the cohort did.

The record lies in `optimizer.state[parameter]["outgrow"]`, as lists of integers and scalars, because that is
what `state_dict`, `load_state_dict`, `deepcopy` and `torch.save` take along as it is:

- `cohort_of`: for each dim the cohort of each index, 0 for what was there from the beginning. An entry
  belongs to the youngest of its indices' cohorts.
- `scalars`: for each cohort, from 1 on, the optimizer's scalars; empty before its first step.
"""

__all__ = ["KEY", "Box", "boxes", "oldest_retired", "with_reindexing"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from outgrow.evolve.surgery.surgery import Reindexing

KEY = "outgrow"
"""In `optimizer.state[parameter]`, and, as a mark, in the groups of such parameters."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Entries of one cohort: all combinations of some indices of each dim."""

    cohort: int
    """Which, from 1 on."""
    indices: tuple[Tensor | None, ...]
    """int64 for each dim, ascending; None for all of them."""
    spans: tuple[tuple[int, int] | None, ...]
    """For each dim the first index and how many there are, where they follow each other."""

    @property
    def has_spans(self) -> bool:
        """Whether the indices of every dim follow each other."""
        return all(
            (index is None) == (span is None) for index, span in zip(self.indices, self.spans, strict=True)
        )

    def to(self, device: torch.device) -> "Box":
        """The same, with the indices where they are needed."""
        indices = tuple(None if index is None else index.to(device) for index in self.indices)
        return Box(cohort=self.cohort, indices=indices, spans=self.spans)

    def of(self, tensor: Tensor) -> Tensor:
        """A copy of these entries."""
        view = self._view(tensor)
        if view is not None:
            return view.clone(memory_format=torch.contiguous_format)
        for dim, index in enumerate(self.indices):
            if index is not None:
                tensor = tensor.index_select(dim, index.to(tensor.device))
        return tensor

    def put(self, tensor: Tensor, values: Tensor) -> None:
        """Give these entries of `tensor` other values."""
        view = self._view(tensor)
        if view is not None:
            view.copy_(values)
            return
        where = []
        for dim, index in enumerate(self.indices):
            chosen = torch.arange(tensor.shape[dim]) if index is None else index
            shape = [1] * tensor.dim()
            shape[dim] = -1
            where.append(chosen.to(tensor.device).view(shape))
        tensor[tuple(where)] = values.to(tensor.dtype)

    def _view(self, tensor: Tensor) -> Tensor | None:
        """These entries themselves, where their indices follow each other, as what is added behind does."""
        if not self.has_spans:
            return None
        for dim, span in enumerate(self.spans):
            if span is not None:
                tensor = tensor.narrow(dim, *span)
        return tensor


def _span(index: Tensor | None) -> tuple[int, int] | None:
    if index is None:
        return None
    first = int(index[0])
    return (first, len(index)) if int(index[-1]) - first + 1 == len(index) else None


def with_reindexing(record: Mapping[str, Any] | None, shape: Sequence[int], change: Reindexing) -> Record:
    """The record after a change of one dim, whose fresh entries are a cohort of their own.

    Args:
        record: as it was, None for no cohorts.
        shape: of the parameter before.
        change: what becomes of one dim.
    """
    before = record["cohort_of"] if record is not None else [[0] * size for size in shape]
    scalars = list(record["scalars"]) if record is not None else []
    fresh = change.fresh.tolist()
    cohort = len(scalars) + 1
    along = [
        cohort if new else before[change.dim][old]
        for old, new in zip(change.gather.tolist(), fresh, strict=True)
    ]
    cohort_of = [along if dim == change.dim else list(each) for dim, each in enumerate(before)]
    scalars += [{}] if any(fresh) else []
    # Cohorts that were pruned away are forgotten.
    left = sorted({0}.union(*cohort_of))
    place = {cohort: number for number, cohort in enumerate(left)}
    return {
        "cohort_of": [[place[cohort] for cohort in along] for along in cohort_of],
        "scalars": [scalars[cohort - 1] for cohort in left[1:]],
    }


def oldest_retired(record: Mapping[str, Any], count: int) -> Record | None:
    """The record when the `count` oldest cohorts count as there from the beginning; None when no other is
    left."""
    if count >= len(record["scalars"]):
        return None
    cohort_of = [[max(cohort - count, 0) for cohort in along] for along in record["cohort_of"]]
    return {"cohort_of": cohort_of, "scalars": record["scalars"][count:]}


def boxes(record: Mapping[str, Any]) -> Iterator[Box]:
    """The entries of every cohort, each once."""
    along = [torch.tensor(cohorts, dtype=torch.int64) for cohorts in record["cohort_of"]]
    for cohort in range(1, len(record["scalars"]) + 1):
        for dim, cohorts in enumerate(along):
            # Entries that the index of this dim makes members, and no dim before it.
            masks = [each < cohort if place < dim else each <= cohort for place, each in enumerate(along)]
            masks[dim] = cohorts == cohort
            if all(bool(mask.any()) for mask in masks):
                indices = tuple(None if bool(mask.all()) else mask.nonzero()[:, 0] for mask in masks)
                yield Box(cohort=cohort, indices=indices, spans=tuple(map(_span, indices)))
