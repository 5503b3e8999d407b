"""What a budget would come to for a model before it is run: by headers, or by its config alone."""

__all__ = ["KindPreview", "Preview", "preview_model"]

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.stream.found_weights import file_phases, live_weights
from outgrow.stream.huggingface import open_architecture, open_huggingface
from outgrow.stream.model_path import find_model
from outgrow.stream.plan import Plan, least_budget, make_plan
from outgrow.stream.prediction import Prediction, predict
from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import PAGE_BYTES, Use, Weight, round_up
from outgrow.stream.wiring import groups_of, use_order

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPreview:
    """All weights of one kind: those whose names differ only in numbers, such as that of a layer."""

    name: str
    """Their name with `*` for each number."""
    count: int
    """How many there are."""
    nbytes: int
    """Bytes of all of them."""
    resident_bytes: int
    """Bytes that stay in memory."""
    streamed_bytes: int
    """Bytes that are read from disk in every pass."""
    row_bytes: int
    """Bytes of tables on disk of which only single rows are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan for a model that nobody has run."""

    name: str
    """What the model is called: the last part of its path or Hub name."""
    architecture: str
    """Class of the model."""
    dtype: torch.dtype
    """What it computes in."""
    has_weights: bool
    """Whether its files are here, or only its config."""
    weights: tuple[Weight, ...]
    """All weights, by index."""
    order: tuple[int, ...]
    """Indices of weights as one pass uses them, tables first; those that no pass uses are not in it."""
    plan: Plan
    """What stays, what streams."""
    least_bytes: int
    """The least budget that can work."""
    prediction: Prediction
    """How long a token would take."""

    def kinds(self) -> tuple[KindPreview, ...]:
        """The weights by kind, in order of use."""
        found: dict[str, list[int]] = {}
        for index in self.order:
            members = found.setdefault(_NUMBER.sub("*", self.weights[index].name), [])
            if index not in members:
                members.append(index)
        return tuple(self._kind(name, members) for name, members in found.items())

    def _kind(self, name: str, members: list[int]) -> KindPreview:
        pieces = [piece for index in members for piece in self.plan.pieces_of[index]]
        nbytes = sum(piece.nbytes for piece in pieces)
        resident = sum(piece.nbytes for piece in pieces if piece.index in self.plan.resident)
        rows = sum(piece.nbytes for piece in pieces if piece.weight.index in self.plan.gathered)
        rows -= sum(
            piece.nbytes
            for piece in pieces
            if piece.weight.index in self.plan.gathered and piece.index in self.plan.resident
        )
        return KindPreview(
            name=name,
            count=len(members),
            nbytes=nbytes,
            resident_bytes=resident,
            streamed_bytes=nbytes - resident - rows,
            row_bytes=rows,
        )

    def as_dict(self) -> dict[str, Any]:
        """Every figure by name, ready for JSON."""
        plan, prediction = self.plan, self.prediction
        return {
            "name": self.name,
            "architecture": self.architecture,
            "dtype": str(self.dtype).removeprefix("torch."),
            "has_weights": self.has_weights,
            "weights": len(self.weights),
            "weights_bytes": plan.weights_bytes,
            "budget_bytes": plan.budget_bytes,
            "least_budget_bytes": self.least_bytes,
            "resident_bytes": plan.resident_bytes,
            "window_bytes": plan.window_bytes,
            "staging_bytes": plan.staging_bytes,
            "pass_bytes": plan.pass_bytes,
            "prediction": {
                "seconds_per_token": prediction.seconds_per_token,
                "limit": prediction.limit,
                "read_seconds": prediction.read_seconds,
                "bytes_per_second": prediction.bytes_per_second,
                "bandwidth_source": prediction.bandwidth_source,
                "compute_seconds": prediction.compute_seconds,
                "compute_source": "estimated",
            },
            "kinds": [
                {
                    "name": kind.name,
                    "count": kind.count,
                    "bytes": kind.nbytes,
                    "resident_bytes": kind.resident_bytes,
                    "streamed_bytes": kind.streamed_bytes,
                    "row_bytes": kind.row_bytes,
                }
                for kind in self.kinds()
            ],
        }


def preview_model(
    path: Path | str,
    *,
    budget_bytes: int,
    dtype: torch.dtype | str | None = None,
    is_probed: bool = True,
    bytes_per_second: float | None = None,
    trust_remote_code: bool = False,
) -> Preview:
    """The plan of the model at `path` within `budget_bytes`; no weight is read, nothing is written.

    `path` is what `load` takes, or a `config.json` whose weights nobody has here. With `is_probed` the
    model's own files are read for a fraction of a second to measure the disk; `bytes_per_second` is taken
    instead where given.

    Raises:
        InputError: there is no such model, it cannot be streamed, or the budget is too small.
        StoreError: a file is damaged or cannot be read.
    """
    model, sources, files = _open(path, dtype, trust_remote_code=trust_remote_code)
    live = live_weights(model, sources, {}, torch.device("cpu"), file_phases(model, sources))
    if not live:
        raise InputError(
            f"{type(model).__name__} has no parameters that could be streamed",
            hint="a model without parameters runs as it is",
        )
    weights = tuple(weight.weight for weight in live)
    uses, groups = use_order(model, live), groups_of(model, live)
    plan = make_plan(weights, budget_bytes=budget_bytes, order=uses, groups=groups)
    tables = [weight.index for weight in weights if weight.use is Use.GATHER]
    return Preview(
        name=_name(path),
        architecture=type(model).__name__,
        dtype=next((weight.dtype for weight in weights if weight.dtype.is_floating_point), torch.float32),
        has_weights=bool(files),
        weights=weights,
        order=(*tables, *uses),
        plan=plan,
        least_bytes=least_budget(weights, order=uses, groups=groups),
        prediction=predict(model, plan, files, is_probed=is_probed, bytes_per_second=bytes_per_second),
    )


def _open(
    path: Path | str, dtype: torch.dtype | str | None, *, trust_remote_code: bool
) -> tuple[nn.Module, Mapping[str, WeightSource], tuple[Path, ...]]:
    """The model on meta, where its weights lie (or would), and its files (none where they are not here)."""
    config = Path(path).expanduser()
    if not config.exists():
        # A name on the Hub: its weights need not come here for a plan.
        path = config = find_model(path, trust_remote_code=trust_remote_code, config_only=True).folder
    if config.is_dir():
        config = config / "config.json"
    if config.name.endswith(".json") and config.is_file() and not _has_weights(config.parent):
        model = open_architecture(config, dtype=dtype)
        return model, _imagined(model, config.parent), ()
    opened = open_huggingface(path, dtype=dtype, trust_remote_code=trust_remote_code)
    return opened.model, opened.sources, opened.checkpoint.files


def _has_weights(folder: Path) -> bool:
    """Whether something in it looks like weights, even of a kind that is refused later."""
    return any(
        file.suffix in _WEIGHT_SUFFIXES or file.name.endswith(".index.json") for file in folder.iterdir()
    )


def _imagined(model: nn.Module, folder: Path) -> dict[str, WeightSource]:
    """Sources as a single file in module order would have them."""
    sources, end = {}, PAGE_BYTES
    for name, weight in model.named_parameters():
        nbytes = weight.numel() * weight.element_size()
        run = (
            Segment(path=folder / "model.safetensors", offset=end, nbytes=nbytes, begin=0) if nbytes else None
        )
        sources[name] = WeightSource(
            name=name, shape=tuple(weight.shape), dtype=weight.dtype, segments=(run,) if run else ()
        )
        end = round_up(end + nbytes, 8)
    return sources


def _name(path: Path | str) -> str:
    local = Path(path).expanduser()
    if not local.exists():
        return str(path)
    local = local.resolve()
    return local.name if local.is_dir() else local.parent.name
