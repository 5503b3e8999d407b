"""The graphs of a model, one for training and one for evaluation, as JSON and the constants in them.

torch.export finds them; they are written down here, because its own files hold pickles and texts that are
evaluated when they are read.
"""

__all__ = ["Export", "export_graphs"]

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.archive.call import CallForm, call_form_of, inputs_with
from outgrow.evolve.archive.literals import encode
from outgrow.evolve.archive.size_functions import size_function_name
from outgrow.evolve.archive.structure import NotSaved, structure_of
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.transactions.undisturbed import undisturbed

_PREFIX = "model."
_WITHOUT = "save with graph=False: edits and weights, to be put onto the model's own class"
_IGNORED = frozenset({"_assert_tensor_metadata"})
"""Ops that only say where a tensor was: a loaded model may be moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What a model computes, without its class."""

    call: CallForm
    """How it is called."""
    graphs: Mapping[str, Any]
    """`train` and `eval`, as JSON."""
    constants: Mapping[str, Tensor]
    """Tensors that are neither parameters nor buffers, by name."""
    left_out: tuple[str, ...]
    """Outputs that no archive can hold: caches, for example."""


class _Notes:
    """What is learnt of the output while a model is traced; torch.export puts back attributes of modules."""

    structure: Any = None
    left_out: tuple[str, ...] = ()


class _FlatModel(nn.Module):
    """A model as a function from tensors to tensors, whatever they are nested in."""

    def __init__(self, model: nn.Module, arguments: Sequence[tuple[str, Any]], positional: int) -> None:
        super().__init__()
        self.model = model
        self._arguments, self._positional = arguments, positional
        self.notes = _Notes()

    def forward(self, *tensors: Tensor) -> tuple[Any, ...]:
        """The tensors of the model's output."""
        output = inputs_with(self._arguments, self._positional, tensors).call(self.model)
        leaves: list[Any] = []
        left_out: list[str] = []
        self.notes.structure = structure_of(output, leaves, left_out)
        self.notes.left_out = tuple(left_out)
        return tuple(leaves)


def export_graphs(model: nn.Module, inputs: ExampleInputs, device: torch.device) -> Export:
    """Trace `model` in both modes; the model is left as it was.

    The size of the batch stays open where torch.export can prove that it may be any.

    Raises:
        NotSaved: the model cannot be traced, or calls something that an archive cannot hold.
    """
    names, arguments, tensors = call_form_of(model, inputs)
    if not tensors:
        raise NotSaved("the example inputs hold no tensor", hint="give the model something to compute on")
    flat = _FlatModel(model, arguments, len(inputs.args))
    constants: dict[str, Tensor] = {}
    graphs, opens = {}, []
    with undisturbed(model):
        for mode in ("train", "eval"):
            flat.train(mode == "train")
            program = _exported(flat, tensors)
            graphs[mode] = _graph(program, model, mode, constants, device)
            graphs[mode]["structure"] = flat.notes.structure
            opens.append([_open_dims(node) for node in _user_inputs(program)])
    # Open in both graphs, or not at all.
    is_open = opens[0] == opens[1] and any(opens[0])
    call = CallForm(
        names=tuple(names),
        arguments=tuple(arguments),
        tensors=tuple(
            {
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": [
                    None if is_open and dim in places else size for dim, size in enumerate(tensor.shape)
                ],
            }
            for tensor, places in zip(tensors, opens[0], strict=True)
        ),
        smallest=2 if is_open else None,
    )
    return Export(call=call, graphs=graphs, constants=constants, left_out=flat.notes.left_out)


def _exported(flat: _FlatModel, tensors: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """The program with an open batch if that can be, else with the batch of the example."""
    dims = [tensor.shape[0] if tensor.dim() else None for tensor in tensors]
    batch = dims[0]
    # A size of one is never taken for an open one: rows are repeated.
    repeated = [
        torch.cat([tensor, tensor]) if batch == 1 and size == 1 else tensor
        for tensor, size in zip(tensors, dims, strict=True)
    ]
    open_dims = tuple({0: torch.export.Dim.AUTO} if size == batch else None for size in dims)
    attempts: list[tuple[Sequence[Tensor], Any]] = [(tensors, None)]
    if batch is not None and batch > 0:
        attempts.insert(0, (repeated, (open_dims,)))
    for number, (given, shapes) in enumerate(attempts, start=1):
        try:
            with _quiet():
                return torch.export.export(flat, tuple(given), dynamic_shapes=shapes, strict=False)
        # Whatever a model's own code raises when it is traced, told with its cause.
        except Exception as err:
            if number == len(attempts):
                first = str(err).strip().splitlines()[0] if str(err).strip() else ""
                raise NotSaved(
                    f"torch.export cannot trace the model: {type(err).__name__}: {first}", hint=_WITHOUT
                ) from err
    raise AssertionError("one attempt returns or raises")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _user_inputs(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    names = set(program.graph_signature.user_inputs)
    return [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def _open_dims(node: torch.fx.Node) -> tuple[int, ...]:
    shape = node.meta["val"].shape
    return tuple(dim for dim, size in enumerate(shape) if isinstance(size, torch.SymInt))


def _graph(
    program: torch.export.ExportedProgram,
    model: nn.Module,
    mode: str,
    constants: dict[str, Tensor],
    device: torch.device,
) -> dict[str, Any]:
    """The JSON of one graph; its constants go to `constants`."""
    signature = program.graph_signature
    kinds = torch.export.graph_signature
    for output in signature.output_specs:
        if output.kind not in (kinds.OutputKind.USER_OUTPUT, kinds.OutputKind.BUFFER_MUTATION):
            raise NotSaved(
                f"the model writes into what it is given ({output.kind.name.lower()})", hint=_WITHOUT
            )
    held = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    held |= {name for name, _ in model.named_buffers(remove_duplicate=False)}
    sources: list[list[Any]] = []
    users = 0
    for spec in signature.input_specs:
        target = (spec.target or "").removeprefix(_PREFIX)
        if spec.kind is kinds.InputKind.USER_INPUT:
            sources.append(["input", users])
            users += 1
        elif spec.kind in (kinds.InputKind.PARAMETER, kinds.InputKind.BUFFER) and target in held:
            sources.append(["weight", target])
        elif spec.kind is kinds.InputKind.CONSTANT_TENSOR and spec.target in program.constants:
            name = f"{mode}/{target}"
            constants[name] = program.constants[spec.target].detach().to(device)
            sources.append(["constant", name])
        else:
            raise NotSaved(
                f"the model uses {spec.target!r}, a {spec.kind.name.lower()}, which an archive cannot hold",
                hint=_WITHOUT,
            )
    mutated = [
        (spec.target or "").removeprefix(_PREFIX)
        for spec in signature.output_specs
        if spec.kind is kinds.OutputKind.BUFFER_MUTATION
    ]
    return {"sources": sources, "mutated": mutated, **_body(program.graph_module, device)}


def _body(module: torch.fx.GraphModule, device: torch.device) -> dict[str, Any]:
    """Inputs, steps and outputs of a graph, and of the blocks in it."""
    numbers: dict[torch.fx.Node, int] = {}

    def number_of(value: Any) -> int | None:
        return numbers.get(value) if isinstance(value, torch.fx.Node) else None

    inputs: list[int] = []
    steps: list[dict[str, Any]] = []
    outputs: Any = []
    for node in module.graph.nodes:
        numbers[node] = len(numbers)
        if node.op == "placeholder":
            inputs.append(numbers[node])
        elif node.op == "output":
            outputs = [encode(each, number_of, device) for each in node.args[0]]
        elif node.op == "call_function":
            step = _step(module, node, number_of, device)
            if step is not None:
                steps.append(step | {"to": numbers[node]})
    return {"inputs": inputs, "steps": steps, "outputs": outputs}


def _step(module: torch.fx.GraphModule, node: torch.fx.Node, number_of: Any, device: torch.device) -> Any:
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        name = str(target)
        if target.namespace != "aten":
            raise NotSaved(f"the model calls the op {name!r}, which is not torch's own", hint=_WITHOUT)
        if name.split(".")[1] in _IGNORED:
            return None
        step: dict[str, Any] = {"op": name, "args": [encode(each, number_of, device) for each in node.args]}
        if node.kwargs:
            step["kwargs"] = {key: encode(value, number_of, device) for key, value in node.kwargs.items()}
        return step
    name_of_size = size_function_name(target)
    if name_of_size is not None:
        return {"op": name_of_size, "args": [encode(each, number_of, device) for each in node.args]}
    kind, count = {"wrap_with_set_grad_enabled": ("grad", 1), "wrap_with_autocast": ("autocast", 4)}.get(
        getattr(target, "__name__", str(target)), ("", 0)
    )
    if not kind:
        raise NotSaved(f"the model uses {target}, which an archive cannot hold", hint=_WITHOUT)
    place = node.args[count]
    block = module.get_submodule(str(place.target)) if isinstance(place, torch.fx.Node) else None
    if not isinstance(block, torch.fx.GraphModule):
        raise NotSaved(f"the model uses {target} in a way that an archive cannot hold", hint=_WITHOUT)
    return {
        "block": _body(block, device),
        "mode": {"kind": kind, "args": [encode(each, number_of, device) for each in node.args[:count]]},
        "args": [encode(each, number_of, device) for each in node.args[count + 1 :]],
    }
