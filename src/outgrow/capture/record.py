"""`with record(model, path): ...`: the tensors of a run, written down while it runs."""

__all__ = ["record"]

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from outgrow.capture.attachment import Attachment, check_attachable
from outgrow.capture.recorder import BUFFER_BYTES, Recorder
from outgrow.capture.recording_folder import run_place
from outgrow.errors import InputError
from outgrow.quantities import parse_bytes


@contextlib.contextmanager
def record(
    model: nn.Module,
    path: Path | str,
    *,
    only: str = "*",
    kinds: Sequence[str] = ("outputs",),
    max_bytes: int | str | None = None,
    optimizer: Optimizer | Sequence[Optimizer] = (),
    rank: int | None = None,
    world_size: int | None = None,
    mesh: Mapping[str, int] | None = None,
    buffer_bytes: int | str = BUFFER_BYTES,
) -> Iterator[Recorder]:
    """Record tensors of `model` into the folder `path`, for as long as the `with` block lasts.

    Every call of the model itself begins a step; `next_step()` of the recorder begins one by hand. Tensors
    are copied before anybody can write into them, and written by a thread of its own. The model's results
    are what they are without this.

    Args:
        model: the model; hooks on it, its parameters and the optimizer go when the block ends.
        path: a folder that is not there yet or empty; with several ranks the same for all.
        only: glob over qualified names of modules; the model's own name is the empty string.
        kinds: `outputs`, `inputs`, `gradients` (of outputs, and of parameters as they are accumulated),
            `parameters` (and buffers, before each step), `optimizer` (its state, after each of its steps).
        max_bytes: the recording is cut before the first tensor that would make it larger: `"2GiB"`, bytes.
        optimizer: one or several, needed for the kind `optimizer`.
        rank: number of this process; `RANK` of the environment where left out, as torchrun sets it.
        world_size: how many there are; `WORLD_SIZE` where left out.
        mesh: coordinates of this rank by axis, for example `{"tp": 1}`; distributed tensors bring their own.
        buffer_bytes: most memory for copies that wait to be written. The run waits while it is full.

    Raises:
        InputError: there is a recording at `path` already or the folder is not empty; no module fits `only`;
            the model is compiled; an unknown kind; `optimizer` missing.
        StoreLocked: another process is recording there.
        StoreError: when the block ends, if not all could be written; what came before is readable.
    """
    place = run_place(rank, world_size, mesh)
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    if "optimizer" in kinds and not optimizers:
        raise InputError(
            "the kind 'optimizer' is asked for and no optimizer is given", hint="give it as `optimizer=`"
        )
    check_attachable(model, only)
    about = {
        "model": type(model).__name__,
        "only": only,
        "kinds": [kinds] if isinstance(kinds, str) else [*kinds],
    }
    with contextlib.ExitStack() as stack:
        recorder = Recorder(
            Path(path),
            place,
            kinds=kinds,
            max_bytes=None if max_bytes is None else parse_bytes(max_bytes),
            buffer_bytes=parse_bytes(buffer_bytes),
            about=about,
        )
        stack.push(lambda _kind, error, _trace: recorder.close(error))
        stack.enter_context(Attachment(recorder, model, only=only, optimizers=optimizers))
        yield recorder
