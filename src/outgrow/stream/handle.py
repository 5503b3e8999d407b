"""A parameter whose bytes are on disk: its shape, dtype and device are real, and whoever reads it gets the
right bytes.

While a module that owns it runs, the same object is a plain `nn.Parameter` again, with its bytes in the
window. Between runs its class is `StreamedParameter`, so that every operation on it passes here: a Linear
comes in row tiles, an embedding by rows, and anything else reads the whole weight from its file. Nothing ever
computes with bytes that are not there.
"""

__all__ = ["ReadOnlyWeight", "StreamedParameter", "StreamedWeightError", "Supplier"]

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves, tree_map_only

from outgrow.errors import InputError


class StreamedWeightError(InputError):
    """Something was asked of a streamed weight that only a weight in memory can do."""


class Supplier(Protocol):
    """Whoever knows where the bytes of a streamed weight are."""

    name: str
    """Qualified name of the weight."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def linear(self, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """`F.linear(inputs, weight, bias)`."""
        ...

    def embedding(self, indices: Tensor) -> Tensor:
        """`F.embedding(indices, weight)`."""
        ...

    def whole(self) -> Tensor:
        """All of the weight, in memory that nobody writes to."""
        ...

    def freeze(self) -> None:
        """The user froze the weight, as it was already: from now on kernels are chosen as for a frozen
        one."""
        ...


class StreamedParameter(nn.Parameter):
    """What a parameter is while its bytes are on disk. Made by assigning `__class__`, so that its identity
    stays."""

    @property
    def _supplier(self) -> Supplier:
        known = self.__dict__.get("_supplier_of")
        if known is None:
            raise StreamedWeightError(
                "a tool made a parameter of the class of a streamed weight, which has no bytes anywhere",
                hint="tools that place weights themselves, such as accelerate's cpu_offload, are for models "
                "in memory: leave them out, or outgrow.stream.restore(model) first",
            )
        supplier: Supplier | None = known()
        if supplier is None:
            raise StreamedWeightError(
                "the model that this streamed weight belonged to is gone",
                hint="keep a reference to the model as long as you use its weights",
            )
        return supplier

    @_supplier.setter
    def _supplier(self, supplier: Supplier) -> None:
        # Weakly: a view that somebody keeps holds the parameter from within C++, where nobody finds cycles,
        # and the supplier knows the whole model.
        self.__dict__["_supplier_of"] = weakref.ref(supplier)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answer an operation that has a streamed weight among its arguments."""
        options = dict(kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            if func in _ANSWERED:
                return _ANSWERED[func](*args, **options)
            if func in _FROM_OUTSIDE:
                return func(*args, **options)
            if func is F.linear:
                return _linear(*args, **options)
            if func is F.embedding:
                return _embedding(*args, **options)
            _refuse_writes(func, args, options)
            names: dict[int, str] = {}

            def whole(parameter: StreamedParameter) -> Tensor:
                values = _whole(parameter)
                names[values.untyped_storage().data_ptr()] = parameter._supplier.name
                return values

            args, options = tree_map_only(StreamedParameter, whole, (args, options))
            result = func(*args, **options)
            # What `state_dict` holds is plain, as everybody expects of it; writes to it stay the caller's.
            return result if func is Tensor.detach else _read_only(result, names)

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Parameter:
        """A parameter of its own with the same bytes, in memory."""
        copied = nn.Parameter(_whole(self).clone(), requires_grad=False)
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickled as a plain parameter with all its bytes."""
        plain = nn.Parameter(_whole(self).clone(), requires_grad=False)
        return plain.__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Name, shape and dtype; the bytes stay where they are."""
        supplier = self._supplier
        return f"StreamedParameter({supplier.name!r}, shape={list(supplier.shape)}, dtype={self.dtype})"


class ReadOnlyWeight(Tensor):
    """What `.data` of a streamed weight is, and `weight[0]` or `weight.T`: the values, which nobody may write
    to, since that would be lost.

    Views of it are read-only as well; whatever is computed with it is a plain tensor.
    """

    _name: str

    @classmethod
    def of(cls, parameter: "StreamedParameter") -> "ReadOnlyWeight":
        """The values of a streamed weight."""
        return cls._named(_whole(parameter).detach(), parameter._supplier.name)

    @classmethod
    def _named(cls, tensor: Tensor, name: str) -> "ReadOnlyWeight":
        weight = tensor.as_subclass(cls)
        weight._name = name
        return weight

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answer an operation that has such a tensor among its arguments."""
        options = dict(kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            for target in _written(func, args, options):
                if isinstance(target, ReadOnlyWeight):
                    raise _cannot_be_written(target._name, func)
            given = [leaf for leaf in tree_leaves((args, options)) if isinstance(leaf, ReadOnlyWeight)]
            args, options = tree_map_only(ReadOnlyWeight, _plain, (args, options))
            names = {leaf.untyped_storage().data_ptr(): leaf._name for leaf in given}
            return _read_only(func(*args, **options), names)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A plain tensor of its own."""
        memo[id(self)] = copied = _plain(self).clone()
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickled as a plain tensor."""
        return _plain(self).__reduce_ex__(protocol)  # type: ignore[no-untyped-call]


def _read_only(result: Any, names: Mapping[int, str]) -> Any:
    """`result` with its tensors read-only that share memory with weights; `names` are these, by address."""

    def marked(tensor: Tensor) -> Tensor:
        name = names.get(tensor.untyped_storage().data_ptr()) if tensor.layout is torch.strided else None
        return tensor if name is None else ReadOnlyWeight._named(tensor, name)

    return tree_map_only(Tensor, marked, result)


def _plain(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if isinstance(bias, StreamedParameter):
        bias = _whole(bias)
    if isinstance(input, StreamedParameter):
        input = _whole(input)
    if isinstance(weight, StreamedParameter):
        return weight._supplier.linear(input, bias)
    return F.linear(input, weight, bias)


def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    if not isinstance(weight, StreamedParameter):
        return F.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if max_norm is not None:
        raise StreamedWeightError(
            f"embedding {weight._supplier.name!r} renormalises its rows in place (max_norm={max_norm}), "
            "which a streamed weight cannot do",
            hint="keep it in memory: `Config(keep_resident=('<its name>',))`",
        )
    return weight._supplier.embedding(input)


def _whole(parameter: "StreamedParameter") -> Tensor:
    return parameter._supplier.whole()


def _refuse_writes(func: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    for target in _written(func, args, options):
        if isinstance(target, StreamedParameter):
            raise _cannot_be_written(target._supplier.name, func)


def _written(func: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> list[Any]:
    """What an operation writes to."""
    name = getattr(func, "__name__", repr(func))
    is_inplace = (name.endswith("_") and not name.endswith("__")) or name in _WRITING
    is_inplace = (is_inplace and name not in _ABOUT_GRADIENTS) or options.get("inplace") is True
    targets = [options.get("out")]
    if is_inplace or (name == "__set__" and func not in _FROM_OUTSIDE):
        # The functions of nn.init come with their arguments by name.
        targets.append(args[0] if args else next(iter(options.values()), None))
    return tree_leaves(targets)


def _cannot_be_written(name: str, func: Callable[..., Any]) -> StreamedWeightError:
    operation = getattr(func, "__name__", repr(func))
    return StreamedWeightError(
        f"weight {name!r} is streamed from disk and cannot be changed in place ({operation})",
        hint=f"if the model itself does that, keep it in memory: `Config(keep_resident=({name!r},))`; "
        "`outgrow.stream.restore(model)` brings all of them back; adapters such as LoRA train on top of "
        "streamed weights, and `model.load_state_dict(...)` exchanges them",
    )


def _requires_grad(parameter: Tensor, requires_grad: bool = True) -> Tensor:
    if requires_grad and isinstance(parameter, StreamedParameter):
        raise StreamedWeightError(
            f"weight {parameter._supplier.name!r} is streamed from disk and cannot be trained",
            hint="train an adapter (LoRA) on top of it, or `outgrow.stream.restore(model)` first",
        )
    if not requires_grad and isinstance(parameter, StreamedParameter):
        parameter._supplier.freeze()
    return Tensor.requires_grad_(parameter, requires_grad)


def _stride(parameter: "StreamedParameter", dim: int | None = None) -> Any:
    stride = parameter._supplier.stride
    return stride if dim is None else stride[dim]


def _is_contiguous(
    parameter: "StreamedParameter", memory_format: torch.memory_format = torch.contiguous_format
) -> bool:
    on_meta = torch.empty_strided(parameter._supplier.shape, parameter._supplier.stride, device="meta")
    return on_meta.is_contiguous(memory_format=memory_format)


_ABOUT_GRADIENTS = frozenset({"requires_grad_", "detach_", "retain_grad_"})
_WRITING = frozenset(
    {"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ior__", "__iand__"}
)

_ANSWERED: Mapping[Any, Callable[..., Any]] = {
    Tensor.requires_grad_: _requires_grad,
    Tensor.requires_grad.__set__: _requires_grad,  # type: ignore[attr-defined]
    Tensor.stride: _stride,
    Tensor.is_contiguous: _is_contiguous,
    Tensor.detach_: lambda parameter: parameter,
    Tensor.data.__get__: ReadOnlyWeight.of,  # type: ignore[attr-defined]
}
"""What the placeholder would answer wrongly."""


def _getters(*names: str) -> list[Any]:
    # Not every name exists in every torch of the supported range.
    return [getattr(Tensor, name).__get__ for name in names if hasattr(Tensor, name)]


def _setters(*names: str) -> list[Any]:
    return [getattr(Tensor, name).__set__ for name in names]


def _methods(*names: str) -> list[Any]:
    return [getattr(Tensor, name) for name in names if hasattr(Tensor, name)]


_FROM_OUTSIDE: frozenset[Any] = frozenset(
    [
        *_getters(
            "shape", "dtype", "device", "layout", "ndim", "itemsize", "nbytes", "is_cuda", "is_cpu",
            "is_meta", "is_sparse", "is_sparse_csr", "is_quantized", "is_nested", "is_mkldnn",
            "is_xla", "is_mps", "is_xpu", "is_vulkan", "is_ipu", "is_maia", "requires_grad", "grad",
            "grad_fn", "is_leaf", "retains_grad", "names", "name", "output_nr", "_version", "_base",
            "_grad", "_backward_hooks",
        ),
        *_setters("grad"),
        *_methods(
            "size", "dim", "ndimension", "numel", "nelement", "element_size", "is_floating_point",
            "is_complex", "is_signed", "is_conj", "is_neg", "is_inference", "get_device", "__len__",
            "data_ptr", "untyped_storage", "storage_offset", "is_pinned", "is_shared", "has_names",
        ),
        torch.is_floating_point, torch.is_complex, torch.numel, torch.is_inference, torch.is_conj,
        torch.is_neg,
    ]
)  # fmt: skip
"""What the placeholder itself answers rightly: everything but values, strides and places in memory. Its
address is not that of the values, but tells tied weights from others as an address would."""
