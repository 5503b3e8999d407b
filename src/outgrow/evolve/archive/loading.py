"""Take a model out of an archive, with its class or without."""

__all__ = ["example_inputs_of", "fill_weights", "load"]

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.archive.archive_file import ArchiveContent, ArchiveCorrupt, read_archive
from outgrow.evolve.archive.archived_model import ArchivedModel
from outgrow.evolve.archive.call import CallForm, inputs_with
from outgrow.evolve.archive.edits import edits_from_json, replay
from outgrow.evolve.example_inputs import ExampleInputs


def load(
    path: str | Path, *, model: nn.Module | None = None, device: str | torch.device = "cpu"
) -> nn.Module:
    """Open what `evolve.save` wrote, in eval mode, without the class that the model had.

    With `model`, one of that class as it was before the first edit, the edits are done again on it, in place,
    and the archive's weights are put into it.

    Raises:
        InputError: there is no such file, it is no archive, one of a newer version, or one without a graph;
            or `model` is of another architecture, and then it is as it was.
        GraphUnreadable: the graph needs an op that this torch has not.
        ArchiveCorrupt: the file is damaged or cut short.
        StoreError: it cannot be read.
    """
    content = read_archive(Path(path))
    try:
        if model is None:
            return _archived_model(content, torch.device(device))
        edits = edits_from_json(content.manifest["edits"])
        inputs = _example_inputs(content)
        weights = {name: content.tensors[name] for name in content.manifest["weights"]}
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise ArchiveCorrupt(
            f"the manifest of {str(path)!r} makes no sense: {err!r}", hint="take another copy of the file"
        ) from err
    # On a copy first: where the edits or the weights do not fit, the model stays as it was.
    for each in (copy.deepcopy(model), model):
        replay(each, edits, example_inputs=inputs, allow="lossy")
        fill_weights(each, weights)
    return model.eval()


def example_inputs_of(path: str | Path) -> ExampleInputs:
    """The example inputs that a model was saved with.

    Raises:
        InputError: there is no such file, or it is no archive.
        ArchiveCorrupt: it is damaged.
        StoreError: it cannot be read.
    """
    content = read_archive(Path(path))
    try:
        return _example_inputs(content)
    except (KeyError, TypeError, ValueError) as err:
        raise ArchiveCorrupt(
            f"the manifest of {str(path)!r} makes no sense: {err!r}", hint="take another copy of the file"
        ) from err


def _example_inputs(content: ArchiveContent) -> ExampleInputs:
    example: Any = content.manifest["example"]
    count = sum(name.startswith("example_inputs/") for name in content.tensors)
    given = [content.tensors[f"example_inputs/{number}"] for number in range(count)]
    return inputs_with(example["arguments"], example["positional"], given)


def _archived_model(content: ArchiveContent, device: torch.device) -> ArchivedModel:
    manifest: Any = content.manifest
    if manifest["graphs"] is None:
        raise InputError(
            f"the archive holds edits and weights of {manifest['class']}, but no graph",
            hint="give a model of that class as it was before: evolve.load(path, model=...)",
        )
    model = ArchivedModel(
        {
            name: (content.tensors[name].to(device), kind, flag)
            for name, (kind, flag) in manifest["weights"].items()
        },
        manifest["aliases"],
        {name: content.tensors[f"constants/{name}"].to(device) for name in manifest["constants"]},
        call=CallForm.from_json(manifest["call"]),
        graphs=manifest["graphs"],
        edits=edits_from_json(manifest["edits"]),
    )
    model.check(content.torch_version)
    return model.eval()


def fill_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a model that has the same ones, in place; nothing is changed where it has not.

    Raises:
        InputError: a name, shape or dtype differs.
    """
    held = dict([*model.named_parameters(), *model.named_buffers()])
    for name in [*weights, *held]:
        if name not in weights or name not in held:
            where = "the archive" if name in weights else "the model"
            raise InputError(
                f"{name!r} is in {where} alone: the model is of another architecture",
                hint="give the model as it was made, before the first edit",
            )
        if held[name].shape != weights[name].shape or held[name].dtype != weights[name].dtype:
            raise InputError(
                f"{name!r} is {held[name].dtype} of {list(held[name].shape)} in the model and "
                f"{weights[name].dtype} of {list(weights[name].shape)} in the archive",
                hint="give the model as it was made, before the first edit",
            )
    with torch.no_grad():
        for name, tensor in weights.items():
            held[name].copy_(tensor)
