"""How the modules of a streamed model are called: bytes in before, out after, whatever happens between."""

__all__ = [
    "PassRunner",
    "StreamedLinear",
    "clone_views",
    "serialised_forward",
    "streamed_forward",
    "uncached_casts",
    "watched_forward",
]

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_map_only

from outgrow.stream.live_weight import LiveWeight


class PassRunner(Protocol):
    """What a wrapped forward asks of the stream that its weights come from."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Held while a plan must not change."""
        ...

    def run_pass(self, forward: Callable[[], Any]) -> Any:
        """What the model's own forward gives, run as one pass."""
        ...

    def enter(self, weights: Sequence[LiveWeight], entered: list[LiveWeight]) -> None:
        """A module is about to compute with `weights`; notes in `entered` what `leave` is to let go of."""
        ...

    def leave(self, entered: list[LiveWeight], result: Any = None) -> Any:
        """It is done; its result, apart from the window's memory. May be called again."""
        ...

    def weight_in_window(self, tensor: Tensor) -> tuple[LiveWeight, int] | None:
        """The weight whose memory `tensor` shares, and where in it `tensor` begins."""
        ...

    def read_whole(self, weight: LiveWeight) -> Tensor:
        """All of a weight, from its file."""
        ...


def streamed_forward(
    stream: PassRunner, weights: Sequence[LiveWeight], original: Callable[..., Any]
) -> Callable[..., Any]:
    """`original`, a module's forward, with `weights` in memory while it runs."""

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        entered: list[LiveWeight] = []
        with stream.lock:
            try:
                stream.enter(weights, entered)
                with uncached_casts() if weights else contextlib.nullcontext():
                    if torch.is_grad_enabled():
                        with saved_tensors_hooks(*_keeping_handles(stream)):
                            result = original(*args, **kwargs)
                    else:
                        result = original(*args, **kwargs)
                return stream.leave(entered, result)
            except BaseException:
                stream.leave(entered)
                raise

    return _opaque(forward, original)


@contextlib.contextmanager
def uncached_casts() -> Iterator[None]:
    """Let autocast keep no cast copies of weights, which would bring the whole model into memory, beyond the
    budget."""
    was_enabled = torch.is_autocast_cache_enabled()
    try:
        torch.set_autocast_cache_enabled(False)
        yield
    finally:
        torch.set_autocast_cache_enabled(was_enabled)


def serialised_forward(stream: PassRunner, original: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, the forward of a stack of modules, while no other thread changes the plan."""

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with stream.lock:
            return original(*args, **kwargs)

    return _opaque(forward, original)


def watched_forward(stream: PassRunner, original: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, the forward of the whole model, as one pass of the stream."""

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        return stream.run_pass(lambda: original(*args, **kwargs))

    return _opaque(forward, original)


class StreamedLinear(torch.autograd.Function):
    """`F.linear` by a streamed weight, which is read again for the gradient of the inputs."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        bias: Tensor | None,
        product: Callable[[Tensor, Tensor | None], Tensor],
        weight: Callable[[], Tensor],
    ) -> Tensor:
        """`inputs` `[..., in]` to `[..., out]`."""
        ctx.weight = weight
        ctx.dtypes = inputs.dtype, inputs.dtype if bias is None else bias.dtype
        return product(inputs, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients of inputs and bias; the weight is frozen."""
        to_inputs = to_bias = None
        of_inputs, of_bias = ctx.dtypes
        # Under autocast the product was in another dtype than its arguments, and so is its gradient.
        if ctx.needs_input_grad[0]:
            to_inputs = (gradient @ ctx.weight().to(gradient.dtype)).to(of_inputs)
        if ctx.needs_input_grad[1]:
            to_bias = gradient.reshape(-1, gradient.shape[-1]).sum(0).to(of_bias)
        return to_inputs, to_bias, None, None


def clone_views(result: Any, storages: set[int]) -> Any:
    """`result` with a copy in place of every tensor in it whose storage is at one of these addresses."""

    def apart(tensor: Tensor) -> Tensor:
        return tensor.clone() if tensor.untyped_storage().data_ptr() in storages else tensor

    return tree_map_only(Tensor, apart, result)


def _keeping_handles(stream: PassRunner) -> tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]:
    """Hooks that let autograd keep a note of which weight it needs, not its bytes, which will be others by
    then."""

    def pack(tensor: Tensor) -> Any:
        found = stream.weight_in_window(tensor)
        return tensor if found is None else (*found, tensor.shape, tensor.stride(), tensor.dtype)

    def unpack(kept: Any) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        weight, offset, shape, stride, dtype = kept
        whole = stream.read_whole(weight)
        if dtype != whole.dtype:
            raise NotImplementedError(
                f"autograd kept weight {weight.name!r} as {dtype} instead of {whole.dtype}"
            )
        return whole.as_strided(shape, stride, whole.storage_offset() + offset)

    return pack, unpack


def _opaque(forward: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Let signature look-ups see the original, and keep torch.compile out: it would bake in where bytes were
    once."""
    opaque: Callable[..., Any] = torch.compiler.disable(forward)  # type: ignore[no-untyped-call]
    opaque.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    opaque._is_streamed = True  # type: ignore[attr-defined]
    return opaque
