"""A model and the stream of its weights: joined, found again, copied, sent elsewhere, parted."""

__all__ = ["Attachment", "attach", "attachment_of", "kept_by", "make_resources", "stream_of"]

import contextlib
import copy
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError, StoreError
from outgrow.events import Listener, ignore
from outgrow.interrupts import Uninterrupted
from outgrow.names import matches
from outgrow.store.checkpoint import FileIdentity, check_unchanged
from outgrow.store.readers import make_reader
from outgrow.stream.backends import make_backend
from outgrow.stream.config import Config, MemoryPressureMode, PrefetchStrategy
from outgrow.stream.exchange import TemporaryFolder
from outgrow.stream.found_weights import live_weights
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.methods import install_methods, remove_methods, without_methods
from outgrow.stream.resources import Resources
from outgrow.stream.source import WeightSource
from outgrow.stream.stream_options import StreamOptions
from outgrow.stream.weight_stream import WeightStream

_ATTRIBUTE = "_outgrow_stream"
"""Where a streamed model keeps its attachment."""


class Attachment:
    """What joins one model and its stream."""

    def __init__(self, model: nn.Module, stream: WeightStream, config: Config) -> None:
        self.stream = stream
        self.config = config
        self.folders: list[TemporaryFolder] = []
        """Where weights lie that were loaded since; they stay as long as this does."""
        self._pickled: nn.Module | None = None
        """What was pickled last: multiprocessing passes tensors by file descriptors, which must not be closed
        before the other process has started."""
        self._model = weakref.ref(model)
        for weight in stream.weights:
            # Autograd would need their bytes and their gradients, which are as large as what does not fit.
            weight.look_trained(is_trained=False)
        model.__dict__[_ATTRIBUTE] = self
        install_methods(model, self)

    @property
    def model(self) -> nn.Module:
        """The model; the attachment does not keep it alive."""
        model = self._model()
        if model is None:
            raise InputError(
                "the model of this stream is gone",
                hint="keep a reference to the model as long as you use its stream",
            )
        return model

    def move(self, device: torch.device) -> None:
        """Compute on `device` from now on.

        Raises:
            DeviceError: no backend works there. Nothing has changed then.
        """
        resources = make_resources(self.config, device, next(iter(self.stream.files.identities)))
        try:
            self.stream.move(resources)
        except BaseException:
            if self.stream.device != device:
                resources.close()
            raise

    def bring_back(self) -> None:
        """Every weight in memory, nothing left of the stream on the model."""
        with self.stream.lock, Uninterrupted():
            self.stream.bring_back()
            self._part()
            for weight in self.stream.weights:
                weight.look_trained(is_trained=True)

    def close(self) -> None:
        """End the stream without bringing weights back; streamed ones cannot be read afterwards."""
        self.stream.close()

    def copy(self, memo: dict[int, Any]) -> nn.Module:
        """Another model with a stream of its own from the same files (`copy.deepcopy`).

        Raises:
            StoreError: a weight was changed in memory, which its file does not know.
        """
        with self.stream.lock:
            recipe, skeleton = self._recipe(), self._skeleton(memo)
        copied = recipe.apply(skeleton)
        attachment_of(copied).folders.extend(self.folders)
        return copied

    def reduce(self) -> tuple[Any, ...]:
        """How to pickle the model: without its weights, which are opened again by path.

        Raises:
            StoreError: a weight was changed in memory, which its file does not know.
        """
        with self.stream.lock:
            recipe = self._recipe()
            self._pickled = self._skeleton({})
            return _rebuilt, (self._pickled, recipe)

    def _recipe(self) -> "Recipe":
        stream = self.stream
        for weight in stream.weights:
            if stream.was_changed(weight):
                raise StoreError(
                    f"weight {weight.name!r} was changed in memory, and a copy would not have the change",
                    hint="model.load_state_dict(...) changes it for good; or outgrow.stream.restore(model)",
                )
        return Recipe(
            sources={weight.name: weight.weight.source for weight in stream.weights},
            strides={w.name: w.weight.stride for w in stream.weights if w.weight.stride is not None},
            phases={w.name: w.weight.phase for w in stream.weights if w.weight.phase},
            identities=dict(stream.files.identities),
            config=self.config,
            budget_bytes=stream.budget_bytes,
            device=str(stream.device),
        )

    def _skeleton(self, memo: dict[int, Any]) -> nn.Module:
        """A copy of the model with its streamed parameters on meta."""
        model = self.model
        for weight in self.stream.weights:
            static = weight.weight
            empty = torch.empty(static.shape, dtype=static.dtype, device="meta")
            for parameter in weight.parameters:
                memo[id(parameter)] = nn.Parameter(empty, requires_grad=weight.was_trained)
        with Uninterrupted(), contextlib.ExitStack() as stack:
            for module in model.modules():
                stack.enter_context(without_methods(module))
            del model.__dict__[_ATTRIBUTE]
            try:
                skeleton: nn.Module = copy.deepcopy(model, memo)
            finally:
                model.__dict__[_ATTRIBUTE] = self
        return skeleton

    def _part(self) -> None:
        remove_methods(self.model)
        self.model.__dict__.pop(_ATTRIBUTE, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is needed to stream a model's weights again, here or in another process. Version 1."""

    sources: Mapping[str, WeightSource]
    strides: Mapping[str, tuple[int, ...]]
    phases: Mapping[str, int]
    identities: Mapping[Path, FileIdentity]
    config: Config
    budget_bytes: int
    device: str
    version: int = 1

    def apply(self, skeleton: nn.Module) -> nn.Module:
        """`skeleton`, whose parameters are on meta, with its weights streamed.

        Raises:
            StoreChanged: a file is not the one that the weights were streamed from.
        """
        if self.version != 1:
            raise InputError(
                f"this model was pickled by another version of outgrow (recipe {self.version})",
                hint="load the model from its files again, or use the version that pickled it",
            )
        check_unchanged(self.identities)
        attach(
            skeleton,
            self.sources,
            config=self.config,
            budget_bytes=self.budget_bytes,
            device=torch.device(self.device),
            identities=self.identities,
            strides=self.strides,
            phases=self.phases,
        )
        return skeleton


def _rebuilt(skeleton: nn.Module, recipe: Recipe) -> nn.Module:
    return recipe.apply(skeleton)


def attach(
    model: nn.Module,
    sources: Mapping[str, WeightSource],
    *,
    config: Config,
    budget_bytes: int,
    device: torch.device,
    identities: Mapping[Path, FileIdentity],
    strides: Mapping[str, tuple[int, ...]] | None = None,
    phases: Mapping[str, int] | None = None,
    listener: Listener = ignore,
) -> Attachment:
    """Let `model` run with the weights in `sources` on disk, within `budget_bytes`.

    Args:
        model: parameters named in `sources` may be on meta or in memory; what is in memory goes.
        sources: where the bytes of each streamed parameter lie, by its first qualified name.
        strides: strides of parameters that are dense but not row-major, by the same name.
        phases: where parameters would lie in memory modulo `PHASE_BYTES`, by the same name, if not at 0.
        identities: the checkpoint files as they were opened.
        device: where the model computes.
        listener: hears `Progress` while resident weights are read, and `PassEnded`.

    Raises:
        BudgetTooSmall: no plan fits. The model is as it was.
    """
    if not identities:
        raise _nothing_to_stream(model)
    with Uninterrupted():
        # Before anything of the model is touched: a device that is not there must leave it as it was.
        resources = make_resources(config, device, next(iter(identities)))
        try:
            weights = live_weights(model, sources, strides or {}, device, phases or {})
            if not weights:
                raise _nothing_to_stream(model)  # noqa: TRY301  the resources must go here, too
            stream = WeightStream(
                model,
                weights,
                budget_bytes=budget_bytes,
                options=_options(config, weights),
                identities=identities,
                resources=resources,
                listener=listener,
            )
        except BaseException:
            resources.close()
            raise
        return Attachment(model, stream, config)


def _nothing_to_stream(model: nn.Module) -> InputError:
    return InputError(
        f"{type(model).__name__} has no parameters that could be streamed",
        hint="a model without parameters runs as it is",
    )


def kept_by(config: Config, weights: Sequence[LiveWeight]) -> frozenset[int]:
    """Indices of the weights that `config` keeps in memory."""
    return frozenset(
        weight.weight.index
        for weight in weights
        if any(matches(weight.name, pattern) for pattern in config.keep_resident)
    )


def _options(config: Config, weights: Sequence[LiveWeight]) -> StreamOptions:
    assert isinstance(config.prefetch_strategy, PrefetchStrategy)
    assert isinstance(config.memory_pressure_mode, MemoryPressureMode)
    return StreamOptions(
        io_threads=config.num_io_threads,
        strategy=config.prefetch_strategy,
        pressure_mode=config.memory_pressure_mode,
        keep_resident=kept_by(config, weights),
        checks=config.debug_mode,
    )


def make_resources(config: Config, device: torch.device, file: Path) -> Resources:
    """What streaming needs on `device`; `file` is one of the checkpoint's, to see how its file system can be
    read.

    Raises:
        DeviceError: the backend asked for cannot work there.
    """
    reader = make_reader(config.reader, file)
    try:
        return Resources(make_backend(config.backend, device, reader, file), reader)
    except BaseException:
        reader.close()
        raise


def attachment_of(model: nn.Module) -> Attachment:
    """The attachment of a model, or of the one streamed model inside it (an adapter's base model, for
    example).

    Raises:
        InputError: the model is not streamed.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"a model must be a torch.nn.Module, not {type(model).__name__}",
            hint="give what outgrow.stream.load or offload returned",
        )
    for module in model.modules():
        attachment = module.__dict__.get(_ATTRIBUTE)
        if isinstance(attachment, Attachment):
            return attachment
    raise InputError(
        f"this {type(model).__name__} is not streamed",
        hint="open it with outgrow.stream.load(path, budget=...) or outgrow.stream.offload(model, config)",
    )


def stream_of(model: nn.Module) -> WeightStream:
    """The stream of a model or of the one inside it.

    Raises:
        InputError: the model is not streamed.
    """
    return attachment_of(model).stream
