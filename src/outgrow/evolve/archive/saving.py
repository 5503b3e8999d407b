"""Put a model into an archive."""

__all__ = ["save"]

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.archive.archive_file import write_archive
from outgrow.evolve.archive.archived_model import ArchivedModel
from outgrow.evolve.archive.call import CallForm, call_form_of, inputs_with
from outgrow.evolve.archive.edits import edits_as_json
from outgrow.evolve.archive.exporting import Export, export_graphs
from outgrow.evolve.archive.structure import NotSaved
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.transactions.undisturbed import undisturbed


def save(
    model: nn.Module,
    path: str | Path,
    *,
    edits: Iterable[Edit] = (),
    example_inputs: Any,
    graph: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write `model` as one file that `evolve.load` opens without the model's class; returns its path.

    The file holds the weights, the edits that made the model, the example inputs, and a graph for each of the
    modes train and eval, which are run and compared with the model before anything is written. It is a
    safetensors file: no pickle, and no code. The model is left as it was.

    Args:
        model: any module that is on one device.
        path: the file to write.
        edits: what was done to the model since it was made, in order, for `evolve.replay`.
        example_inputs: as for `evolve.sites`; the graph has their shapes, but for the size of the batch.
        graph: False to leave the graphs out, for models that torch.export cannot trace.
        overwrite: whether a file at `path` may be replaced.

    Raises:
        InputError: `path` is taken, or the example inputs do not fit.
        NotSaved: the model cannot be traced, or its graph gives other outputs than the model does.
        StoreError: the disk is full or cannot be written; nothing half written is left.
    """
    path, inputs = Path(path), call_form(example_inputs)
    device = _device(model)
    weights, aliases = _weights(model)
    export = export_graphs(model, inputs, device) if graph else None
    if export is not None:
        export = _proved(model, inputs, export, weights, aliases)
    _, arguments, examples = call_form_of(model, inputs)
    tensors = {name: tensor for name, (tensor, _, _) in weights.items()}
    constants = {} if export is None else {f"constants/{name}": t for name, t in export.constants.items()}
    given = {f"example_inputs/{number}": tensor for number, tensor in enumerate(examples)}
    if tensors.keys() & (constants.keys() | given.keys()):
        raise NotSaved("a weight is called as the archive calls its own tensors", hint="rename it")
    manifest = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "edits": edits_as_json(edits),
        "weights": {name: [kind, flag] for name, (_, kind, flag) in weights.items()},
        "aliases": aliases,
        "example": {"arguments": arguments, "positional": len(inputs.args)},
        "constants": [] if export is None else list(export.constants),
        "call": None if export is None else export.call.as_json(),
        "graphs": None if export is None else export.graphs,
        "left_out": [] if export is None else list(export.left_out),
    }
    write_archive(path, manifest, tensors | constants | given, overwrite=overwrite)
    return path


def _device(model: nn.Module) -> torch.device:
    devices = {tensor.device for tensor in [*model.parameters(), *model.buffers()]}
    if len(devices) > 1:
        raise NotSaved(
            f"the model is on several devices: {', '.join(sorted(map(str, devices)))}",
            hint="move it to one; the archive can be loaded onto any",
        )
    return devices.pop() if devices else torch.device("cpu")


def _weights(model: nn.Module) -> tuple[dict[str, tuple[Tensor, str, bool]], dict[str, str]]:
    """Each weight by its first name, with kind and flag, and the further names of tied ones."""
    first: dict[int, str] = {}
    weights: dict[str, tuple[Tensor, str, bool]] = {}
    aliases: dict[str, str] = {}
    transient = {
        f"{name}.{buffer}".lstrip(".")
        for name, module in model.named_modules()
        for buffer in module._non_persistent_buffers_set
    }
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in first:
            aliases[name] = first[id(parameter)]
        else:
            first[id(parameter)] = name
            weights[name] = (parameter.detach(), "parameter", parameter.requires_grad)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if id(buffer) in first:
            aliases[name] = first[id(buffer)]
        else:
            first[id(buffer)] = name
            weights[name] = (buffer.detach(), "buffer", name not in transient)
    return weights, aliases


def _proved(
    model: nn.Module,
    inputs: ExampleInputs,
    export: Export,
    weights: Mapping[str, tuple[Tensor, str, bool]],
    aliases: Mapping[str, str],
) -> Export:
    """The export, with the least batch that was seen to work.

    Raises:
        NotSaved: the graph gives something else than the model.
    """
    try:
        copy = ArchivedModel(
            {name: (tensor.clone(), kind, flag) for name, (tensor, kind, flag) in weights.items()},
            aliases,
            export.constants,
            call=replace(export.call, smallest=0) if export.call.smallest else export.call,
            graphs=json.loads(json.dumps(export.graphs)),
        )
    except KeyError as err:
        raise NotSaved(
            f"a part of the model is called as one of the archive's own: {err}",
            hint="give that part another name in the model",
        ) from err
    for mode in (True, False):
        change = _apart(model, copy, inputs, train=mode)
        if change != 0.0:
            raise NotSaved(
                f"the traced graph gives other outputs than the model in {'train' if mode else 'eval'} mode "
                f"(relative change {change:.1e})",
                hint="does forward depend on more than its inputs? graph=False saves edits and weights",
            )
    return replace(export, call=replace(export.call, smallest=_smallest(model, copy, inputs, export.call)))


def _smallest(model: nn.Module, copy: nn.Module, inputs: ExampleInputs, call: CallForm) -> int | None:
    """The least size of an open batch: 1 where the graph then still gives what the model gives."""
    if call.smallest is None:
        return None
    _, arguments, tensors = call_form_of(model, inputs)
    single = [
        tensor[:1] if expected["shape"][:1] == [None] else tensor
        for tensor, expected in zip(tensors, call.tensors, strict=True)
    ]
    row = inputs_with(arguments, len(inputs.args), single)
    try:
        return 1 if _apart(model, copy, row, train=False) == 0.0 else 2
    # A graph that was made for two rows and more may not be able to take one.
    except (IndexError, RuntimeError, ValueError):
        return 2


def _apart(model: nn.Module, copy: nn.Module, inputs: ExampleInputs, *, train: bool) -> float:
    """How far the outputs of both are apart with the same random numbers; 0.0 for the same bits."""
    with undisturbed(model), undisturbed(copy), torch.no_grad():
        outputs = []
        for each in (model, copy):
            each.train(train)
            torch.manual_seed(0)
            outputs.append(list(output_tensors(inputs.call(each)).values()))
    actual, expected = ({str(number): t for number, t in enumerate(found)} for found in reversed(outputs))
    return relative_change(actual, expected)
