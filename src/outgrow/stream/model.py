"""What users call: open a model larger than memory, or let go of one that is in it; change the budget; end it
all."""

__all__ = ["closing", "load", "offload", "restore", "set_budget"]

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from outgrow.devices.memory import memory_state
from outgrow.errors import DeviceError, InputError
from outgrow.events import Listener, ignore
from outgrow.interrupts import Uninterrupted
from outgrow.quantities import parse_bytes
from outgrow.store.checkpoint import Checkpoint
from outgrow.store.header import StoreCorrupt
from outgrow.store.integrity import verify
from outgrow.stream.attachment import attach, attachment_of, kept_by, stream_of
from outgrow.stream.backends.device_streams import cuda_device
from outgrow.stream.config import BackendType, Config
from outgrow.stream.found_weights import file_phases, live_weights
from outgrow.stream.handle import StreamedParameter
from outgrow.stream.huggingface import open_huggingface
from outgrow.stream.methods import is_part
from outgrow.stream.plan import make_plan
from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.stored_weights import CODEC, RUN_BYTES, store_weights
from outgrow.stream.weights import PAGE_BYTES, PHASE_BYTES
from outgrow.stream.wiring import groups_of, use_order

Model = TypeVar("Model", bound=nn.Module)

# Whoever opens a model within inference_mode wants to infer, not weights that are inference tensors for good:
# so all of these functions leave the mode for as long as they run.


@torch.inference_mode(mode=False)
def load(
    path: str | Path,
    budget: int | str | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    config: Config | None = None,
    *,
    trust_remote_code: bool = False,
    check_digests: bool = False,
    listener: Listener = ignore,
) -> Any:
    """Open a Hugging Face checkpoint that need not fit into memory; ready for `generate()`.

    The files are read where they are, never copied or rewritten, and only as far as weights are used. Results
    are the same bits as with all weights in memory.

    Args:
        path: a directory, a file in it, or a name on the Hugging Face Hub.
        budget: most bytes of memory for weights, as a number or text: `27MB` is 27 * 10^6, `4GiB` 4 * 2^30.
            None: that of `config`, else half of the memory that is free.
        device: where the model computes; None for the CPU.
        dtype: what the model computes in; None for that of the checkpoint.
        config: further choices.
        trust_remote_code: whether Python code that the checkpoint brings along may run.
        check_digests: whether to read all files first and compare them with the digests that are known of
            them (`outgrow store verify --record` notes them); costs one pass over the checkpoint.
        listener: hears `Progress` while weights are checked and resident ones are read, and `PassEnded` after
            each forward pass.

    Returns the ordinary transformers model, in eval mode, of a class that only its config names (therefore
    `Any`). Its weights are frozen; adapters on top of it train.

    Raises:
        InputError: the path, the budget or an option cannot be; `BudgetTooSmall` names the least budget that
            works.
        StoreError: a file is damaged or cannot be read. `StoreCorrupt` names all damage that digests show.
        DeviceError: the device or backend is not there.
    """
    config = _checked(config)
    if device is None and config.backend in (BackendType.CUDA, BackendType.GPUDIRECT):
        device = "cuda"
    assert isinstance(config.backend, BackendType)
    wanted = _device(device, config.backend)
    budget_bytes = _budget(budget, config, wanted)
    opened = open_huggingface(path, dtype=dtype, trust_remote_code=trust_remote_code)
    if check_digests:
        _refuse_damage(opened.checkpoint, listener)
    for module in opened.model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(wanted)
    for parameter in opened.model.parameters():
        if not parameter.is_meta:
            parameter.data = parameter.data.to(wanted)
        elif parameter.is_floating_point():
            # As transformers opens a model: what it computes depends on it, and so does what `restore` gives.
            parameter.requires_grad_()
    attach(
        opened.model,
        opened.sources,
        config=config,
        budget_bytes=budget_bytes,
        device=wanted,
        identities=opened.checkpoint.identities,
        phases=file_phases(opened.model, opened.sources) if wanted.type == "cpu" else None,
        listener=listener,
    )
    return opened.model


@torch.inference_mode(mode=False)
def offload(model: Model, config: Config | str | Path, *, listener: Listener = ignore) -> Model:
    """Stream the weights of a model that is in memory, and free them.

    They are written once to a directory below `config.storage_path`, or found there if the very same weights
    were written before. The model stays what it is, on the device where it is; `restore` brings its weights
    back.

    Args:
        model: any module; changed in place and returned.
        config: how to stream; a path stands for a `Config` with that `storage_path`.
        listener: hears `Progress` in bytes while weights are written and read, and `PassEnded` after each
            forward pass.

    Raises:
        InputError: the model has no parameters, is streamed already or cannot be; or an option cannot be.
            `BudgetTooSmall` names the least budget that works. Nothing has changed then.
        StoreError: the weights cannot be written. Nothing has changed then.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"a model must be a torch.nn.Module, not {type(model).__name__}",
            hint="give the model itself, not its state_dict or its path; outgrow.stream.load takes a path",
        )
    config = _checked(Config(storage_path=config) if isinstance(config, str | Path) else config)
    if config.storage_path is None:
        raise InputError("offload needs a directory for the weights", hint="give Config(storage_path=...)")
    if any("_outgrow_stream" in module.__dict__ for module in model.modules()):
        raise InputError(
            f"this {type(model).__name__} is streamed already",
            hint="outgrow.stream.set_budget changes its budget, outgrow.stream.restore ends streaming",
        )
    if any(map(is_part, model.modules())):
        raise _part_of_another(f"this {type(model).__name__}")
    parameters = _streamable(model)
    device = next(iter(parameters.values())).device
    budget_bytes = _budget(None, config, device)
    tables = frozenset(
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
    )
    _check_plan(model, parameters, tables, config, budget_bytes)
    # The directory goes where the model does not stream from it, and stays where it does.
    with Uninterrupted():
        stored = store_weights(
            parameters,
            tables,
            Path(config.storage_path),
            compression_level=config.compression_level if config.compression_enabled else None,
            listener=listener,
        )
        try:
            attach(
                model,
                stored.sources,
                config=config,
                budget_bytes=budget_bytes,
                device=device,
                identities=stored.identities,
                strides=stored.strides,
                phases={name: tensor.data_ptr() % PHASE_BYTES for name, tensor in parameters.items()},
                listener=listener,
            )
        except BaseException:
            if not stored.was_reused:
                rmtree(stored.folder, ignore_errors=True)
            raise
    return model


@torch.inference_mode(mode=False)
def set_budget(model: nn.Module, budget: int | str) -> None:
    """Change the budget of a streamed model, between two passes; waits for one that runs.

    Raises:
        InputError: the model is not streamed, or the budget cannot be; nothing has changed then.
    """
    nbytes = parse_bytes(budget)
    if nbytes <= 0:
        raise InputError("a budget must be above zero", hint="write a size such as 27MB or 4GiB")
    stream_of(model).replan(budget_bytes=nbytes)


@torch.inference_mode(mode=False)
def restore(model: Model) -> Model:
    """Bring all weights into memory and end streaming; the model is then as if it had never been streamed.

    Raises:
        InputError: the model is not streamed.
        StoreError: a file cannot be read; the model is streamed as before then.
    """
    attachment_of(model).bring_back()
    return model


@contextlib.contextmanager
def closing(model: Model) -> Iterator[Model]:
    """A streamed model for the length of a `with` block; its threads, files and memory go at the end of it.

    Raises:
        InputError: the model is not streamed.
    """
    attachment = attachment_of(model)
    try:
        yield model
    finally:
        attachment.close()


def _checked(config: Config | None) -> Config:
    if config is None:
        return Config()
    if not isinstance(config, Config):
        raise InputError(
            f"config must be an outgrow.stream.Config, not {type(config).__name__}",
            hint="write outgrow.stream.Config(budget='4GiB')",
        )
    # Fields may have been assigned since: checked again, and apart from what the caller does with it later.
    return replace(config)


def _refuse_damage(checkpoint: Checkpoint, listener: Listener) -> None:
    report = verify(checkpoint.root, listener=listener)
    if report.damages:
        damages = "\n  ".join(f"{damage.path.name}: {damage.message}" for damage in report.damages)
        raise StoreCorrupt(
            f"{str(checkpoint.root)!r} is damaged:\n  {damages}",
            hint="download the files that are named again",
        )
    if report.checked_tensors < report.tensors:
        root = str(checkpoint.root)
        raise InputError(
            f"digests are known of {report.checked_tensors} of {report.tensors} weights of {root!r}",
            hint=f"where the files are known to be right, note them: outgrow store verify --record {root}",
        )


def _device(device: torch.device | str | None, backend: BackendType) -> torch.device:
    try:
        found = torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError) as err:
        raise InputError(f"not a device: {device!r}", hint="write cpu, cuda or cuda:0") from err
    if found.type == "cuda":
        # Before the checkpoint is opened: whoever asks for a GPU that is not there waits for nothing.
        return cuda_device(found, "cuda" if backend is BackendType.AUTO else str(backend.value))
    if found.type != "cpu":
        raise DeviceError(f"a streamed model cannot compute on {found}", hint="write cpu, cuda or cuda:0")
    return found


def _budget(budget: int | str | None, config: Config, device: torch.device) -> int:
    if budget is not None:
        if config.budget_bytes() is not None:
            raise InputError("two budgets are given, one of them in the config", hint="give one of them")
        nbytes = parse_bytes(budget)
        if nbytes <= 0:
            raise InputError("a budget must be above zero", hint="write a size such as 27MB or 4GiB")
        return nbytes
    given = config.budget_bytes()
    if given is not None:
        return given
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory_state().available
    return max(free // 2, 1)


def _streamable(model: nn.Module) -> dict[str, Tensor]:
    """Parameters by first qualified name, same bytes once.

    Raises:
        InputError: there is none, or one cannot be streamed.
    """
    found: dict[str, Tensor] = {}
    seen: set[object] = set()
    spans: list[tuple[int, int, str]] = []
    for name, parameter in model.named_parameters():
        if isinstance(parameter, StreamedParameter):
            raise _part_of_another(f"parameter {name!r}")
        problem, hint = _problem(parameter)
        if problem:
            raise InputError(f"parameter {name!r} {problem}, so that it cannot be streamed", hint=hint)
        key = (parameter.data_ptr(), parameter.shape, parameter.stride(), parameter.dtype)
        if parameter.numel() and key in seen:
            continue
        seen.add(key)
        found[name] = parameter
        if parameter.numel():
            extent = sum(
                (size - 1) * stride for size, stride in zip(parameter.shape, parameter.stride(), strict=True)
            )
            begin = parameter.data_ptr()
            spans.append((begin, begin + (extent + 1) * parameter.element_size(), name))
    if not found:
        raise InputError(
            f"{type(model).__name__} has no parameters to stream",
            hint="a model without parameters runs as it is",
        )
    devices = {parameter.device for parameter in found.values()}
    if len(devices) > 1:
        raise InputError(
            f"the parameters are on several devices: {', '.join(sorted(map(str, devices)))}",
            hint="bring the model to one device first: model.to('cpu')",
        )
    spans.sort()
    for (_, end, one), (begin, _, other) in itertools.pairwise(spans):
        if begin < end:
            raise InputError(
                f"parameters {one!r} and {other!r} share part of their memory and cannot be streamed",
                hint="give them memory of their own: parameter.data = parameter.data.clone()",
            )
    return found


def _part_of_another(what: str) -> InputError:
    return InputError(
        f"{what} is streamed already, as a part of another model",
        hint="stream the whole model or its part, not both; outgrow.stream.restore(...) ends streaming",
    )


def _problem(parameter: nn.Parameter) -> tuple[str | None, str]:
    """What keeps it from being streamed, and what helps."""
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        return "has no shape yet", "run the model once on an example: lazy modules take their shapes from it"
    if type(parameter) is not nn.Parameter or type(parameter.data) is not Tensor:
        kinds = f"is a {type(parameter).__name__} holding a {type(parameter.data).__name__}"
        return kinds, "stream the model before it is quantized, wrapped or distributed"
    if parameter.is_meta:
        return "is on the meta device and has no bytes", "load its weights first, or use outgrow.stream.load"
    if parameter.layout is not torch.strided:
        return f"has the layout {parameter.layout}", "make it dense: parameter.to_dense()"
    return None, ""


def _check_plan(
    model: nn.Module,
    parameters: dict[str, Tensor],
    tables: frozenset[str],
    config: Config,
    budget_bytes: int,
) -> None:
    """Raise BudgetTooSmall before anything is written."""
    # Where each weight will begin in its page is not known yet: as far behind the page's start as can be.
    worst = PAGE_BYTES - 16
    # Encoded runs are taken to be as long as their bytes, which they never exceed by much.
    step = (
        RUN_BYTES if config.compression_enabled else max(tensor.nbytes for tensor in parameters.values()) + 1
    )
    sources = {
        name: WeightSource(
            name=name,
            shape=tuple(tensor.shape),
            dtype=tensor.dtype,
            segments=tuple(
                Segment(
                    path=Path("weights"), offset=worst + at, nbytes=min(step, tensor.nbytes - at), begin=at
                )
                for at in range(0, tensor.nbytes, step)
            ),
            codec=CODEC if config.compression_enabled and name not in tables else None,
        )
        for name, tensor in parameters.items()
    }
    weights = live_weights(model, sources, {}, torch.device("cpu"))
    make_plan(
        [weight.weight for weight in weights],
        budget_bytes=budget_bytes,
        order=use_order(model, weights),
        io_threads=config.num_io_threads,
        groups=groups_of(model, weights),
        keep_resident=kept_by(config, weights),
    )
