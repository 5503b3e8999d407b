"""What the descriptions of a pickle mean: tensors, numbers, containers; the rest is refused by name.

The functions are those that `torch.save` and numpy name in pickles (torch/_utils.py, `_rebuild_*`); what they
do is done here on descriptions, checked before, and never by calling what a file names.
"""

__all__ = ["TorchObjects", "element_bytes"]

from collections.abc import Callable, Mapping
from typing import Any

import torch

from outgrow.compare.readers.advice import CAST_FIRST, COPY_AGAIN, SAVE_PLAIN
from outgrow.compare.readers.dtypes import known_dtype
from outgrow.compare.readers.files.numpy_objects import numpy_leaf
from outgrow.compare.readers.files.pickle_machine import Global, Made, Pairs, Persistent
from outgrow.compare.readers.files.piece import Piece
from outgrow.compare.readers.files.quantized import quantized_leaf
from outgrow.compare.readers.files.sparse import sparse_leaf
from outgrow.compare.readers.files.tensor_place import TensorPlace
from outgrow.compare.readers.tree import Branch, Leaf, Part, Understood, scalar_leaf
from outgrow.errors import InputError

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16",
    "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
    # The codes of quantized tensors.
    "QInt8Storage": "int8", "QUInt8Storage": "uint8", "QInt32Storage": "int32",
}  # fmt: skip
_DICTS = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "types.MappingProxyType",
}
_LISTS = {
    "collections.deque",
    "builtins.list",
    "builtins.set",
    "builtins.frozenset",
    "torch.Size",
}
_IGNORED = {
    "torch.device", "torch.Generator", "torch.serialization._get_layout",
    "pathlib.PosixPath", "pathlib.Path", "pathlib.PurePosixPath", "pathlib.WindowsPath",
    "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
}  # fmt: skip
_PARAMETERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
_NO_META = "load the weights of the model before it is saved: on the meta device it has none"
_MAX_WRAPPED = 8
_MAX_KEY = 1024


class TorchObjects:
    """Understands the values of one torch file."""

    def __init__(self, find_storage: Callable[[tuple[Any, ...], int], Piece]) -> None:
        """`find_storage(persistent_id, nbytes)` gives a storage of at least so many bytes, or raises an
        `OutgrowError`."""
        self._find_storage = find_storage
        self._rebuild: Mapping[str, Callable[..., Leaf]] = {
            "_rebuild_tensor": self._tensor,
            "_rebuild_tensor_v2": self._tensor,
            "_rebuild_tensor_v3": self._tensor_v3,
            "_rebuild_qtensor": self._quantized,
            "_rebuild_sparse_tensor": self._sparse,
            "_rebuild_device_tensor_from_cpu_tensor": lambda data, *_: self._leaf(data),
            "_rebuild_device_tensor_from_numpy": lambda data, *_: self._leaf(data),
            "_rebuild_xla_tensor": lambda data, *_: self._leaf(data),
            "_rebuild_meta_tensor_no_storage": _refuse(
                "is a meta tensor: it has a shape and no numbers", _NO_META
            ),
            "_rebuild_nested_tensor": _refuse(
                "is a nested tensor: save its parts, as from unbind()", SAVE_PLAIN
            ),
            "_rebuild_wrapper_subclass": _refuse(
                "is a tensor subclass that wraps others: save its parts", SAVE_PLAIN
            ),
        }

    def understand(self, value: Any) -> Understood:
        """As `flatten` asks.

        Raises:
            OutgrowError: the value is refused.
        """
        if value is None or isinstance(value, str | bytes):
            return Leaf()
        if isinstance(value, bool | int | float):
            return scalar_leaf(value)
        if isinstance(value, Pairs):
            return Branch((_key_text(key), child) for key, child in value)
        if isinstance(value, list | tuple):
            return Branch(value, list_length=len(value))
        if isinstance(value, Global):
            if value.name.startswith("torch.") and value.name.count(".") == 1:
                return Leaf()  # a dtype, a layout, a class: settings, not numbers
            raise InputError(
                f"is the name {value.name!r}, which is not imported from a file", hint=SAVE_PLAIN
            )
        if isinstance(value, Made):
            return self._made(value, 0)
        raise InputError(
            "is a storage without a tensor" if isinstance(value, Persistent) else "is unknown",
            hint="save the tensor, not its storage alone" if isinstance(value, Persistent) else COPY_AGAIN,
        )

    def _made(self, made: Made, depth: int) -> Understood:
        name = _called(made.by)
        if name is None or depth > _MAX_WRAPPED:
            raise InputError("calls what is no function", hint=COPY_AGAIN)
        if name in _DICTS:
            items = made.items if isinstance(made.items, Pairs) else _first_pairs(made.arguments)
            return Branch((_key_text(key), child) for key, child in items)
        if name in _LISTS:
            return self.understand(_first_list(made))
        if name in _IGNORED or name in ("_codecs.encode", "builtins.bytearray"):
            return Leaf()
        if name == "builtins.complex" and isinstance(made.arguments, tuple):
            if len(made.arguments) == 2 and all(type(part) is float for part in made.arguments):
                return scalar_leaf(complex(*made.arguments))
            raise InputError("is a complex number without its parts", hint=COPY_AGAIN)
        if name in _PARAMETERS and isinstance(made.arguments, tuple) and made.arguments:
            return self._wrapped(made.arguments[0], depth)
        if name in ("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"):
            return self._wrapped(made.arguments[0] if made.arguments else None, depth)
        if name == "torch._tensor._rebuild_from_type_v2" and isinstance(made.arguments, tuple):
            # (function, class, arguments, state): the class is a subclass of Tensor, whose numbers are those
            # that the function makes.
            if len(made.arguments) != 4:
                raise InputError("is a tensor subclass without its numbers", hint=COPY_AGAIN)
            return self._wrapped(Made(made.arguments[0], made.arguments[2]), depth)
        package, _, function = name.rpartition(".")
        if package == "torch._utils" and function in self._rebuild and isinstance(made.arguments, tuple):
            return self._rebuilt(function, made.arguments)
        leaf = numpy_leaf(name, made)
        if leaf is not None:
            return leaf
        if package.partition(".")[0] == "numpy" and function == "dtype":
            return Leaf()
        raise InputError(
            f"is made by {name[:200]!r}; only tensors, numbers and plain containers are read, no code is run",
            hint=SAVE_PLAIN,
        )

    def _wrapped(self, inner: Any, depth: int) -> Understood:
        if not isinstance(inner, Made):
            raise InputError("is a parameter without a tensor", hint=COPY_AGAIN)
        return self._made(inner, depth + 1)

    def _leaf(self, value: Any) -> Leaf:
        understood = self.understand(value)
        if not isinstance(understood, Leaf) or not understood.parts:
            raise InputError("wraps what is no tensor", hint=COPY_AGAIN)
        return understood

    def _rebuilt(self, function: str, arguments: tuple[Any, ...]) -> Leaf:
        try:
            return self._rebuild[function](*arguments)
        except InputError:
            raise
        except (TypeError, ValueError, IndexError, AttributeError) as err:
            # Arguments of the wrong number or kind: a pickle can pass anything.
            raise InputError(
                f"calls {function} with arguments that it does not take", hint=COPY_AGAIN
            ) from err

    def _tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, _grad: Any = None, _hooks: Any = None,
        metadata: Any = None,
    ) -> Leaf:  # fmt: skip
        code = _storage_name(storage)
        if code.startswith("Q"):
            raise InputError("is a quantized tensor without its scale", hint=COPY_AGAIN)
        if code not in _STORAGES:
            raise InputError(f"lies in a {code!r}, whose numbers cannot be compared", hint=CAST_FIRST)
        dtype = known_dtype(_STORAGES[code])
        return self._place(storage, dtype, offset, size, stride, metadata)

    def _tensor_v3(
        self, storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any,
        metadata: Any = None,
    ) -> Leaf:  # fmt: skip
        if not isinstance(dtype, Global) or not dtype.name.startswith("torch."):
            raise InputError("has no dtype", hint=COPY_AGAIN)
        known = known_dtype(dtype.name.removeprefix("torch."))
        return self._place(storage, known, offset, size, stride, metadata)

    def _quantized(self, storage: Any, offset: Any, size: Any, stride: Any, parameters: Any, *_: Any) -> Leaf:
        code = _storage_name(storage)
        if code not in _STORAGES or not code.startswith("Q"):
            raise InputError(
                f"is quantized in a {code!r}, whose codes are not read",
                hint="save the tensor's dequantize() instead",
            )
        codes = self._place(storage, known_dtype(_STORAGES[code]), offset, size, stride, None)
        return quantized_leaf(codes.parts[0], parameters, self._leaf)

    def _sparse(self, layout: Any, data: Any) -> Leaf:
        # Newer files name the layout by a call, `torch.serialization._get_layout("torch.sparse_coo")`.
        if isinstance(layout, Made) and isinstance(layout.arguments, tuple) and len(layout.arguments) == 1:
            layout = layout.arguments[0]
        name = layout.name if isinstance(layout, Global) else layout
        return sparse_leaf(name, data, self._leaf)

    def _place(
        self, storage: Any, dtype: torch.dtype, offset: Any, size: Any, stride: Any, metadata: Any
    ) -> Leaf:
        width = element_bytes(storage)
        numel = storage.key[4]
        if type(numel) is not int or not 0 <= numel < 2**62:
            raise InputError("lies in a storage whose size is no count", hint=COPY_AGAIN)
        if storage.key[3] == "meta":
            raise InputError("is a meta tensor: it has a shape and no numbers", hint=_NO_META)
        piece = self._find_storage(storage.key, numel * width)
        place = TensorPlace.of(piece, dtype, offset, _plain(size), _plain(stride), metadata)
        return Leaf((Part(dtype, place.shape, place.read, expanded_bytes=place.expanded_bytes),))


def _refuse(reason: str, hint: str) -> Callable[..., Leaf]:
    def refuse(*_: Any) -> Leaf:
        raise InputError(reason, hint=hint)

    return refuse


def _called(by: Any) -> str | None:
    if isinstance(by, Persistent) and isinstance(by.key, tuple) and by.key[:1] == ("module",):
        by = by.key[1]  # how torch wrote classes before 1.6, with their source code behind
    return by.name if isinstance(by, Global) else None


def _storage_name(storage: Any) -> str:
    """`FloatStorage` of the persistent id `("storage", torch.FloatStorage, key, location, numel)`."""
    if isinstance(storage, Persistent) and isinstance(storage.key, tuple) and len(storage.key) >= 5:
        kind = storage.key[1]
        is_named = isinstance(storage.key[2], str) and len(storage.key[2]) <= _MAX_KEY
        if storage.key[0] in ("storage", b"storage") and isinstance(kind, Global) and is_named:
            return kind.name.rpartition(".")[2]
    raise InputError("has no storage", hint=COPY_AGAIN)


def element_bytes(storage: Persistent) -> int:
    """Bytes of each element that a storage counts.

    Raises:
        InputError: it is none, or of a kind that is not read.
    """
    name = _storage_name(storage)
    if name == "UntypedStorage":
        return 1
    if name not in _STORAGES:
        raise InputError(f"lies in a {name!r}, whose numbers cannot be compared", hint=CAST_FIRST)
    return known_dtype(_STORAGES[name]).itemsize


def _plain(size: Any) -> Any:
    """The numbers of a `torch.Size`."""
    if isinstance(size, Made) and isinstance(size.arguments, tuple) and len(size.arguments) == 1:
        return size.arguments[0]
    return size


def _first_list(made: Made) -> Any:
    if isinstance(made.items, list):
        return made.items
    first = made.arguments[0] if isinstance(made.arguments, tuple) and made.arguments else ()
    if not isinstance(first, list | tuple):
        raise InputError("is a list without its items", hint=COPY_AGAIN)
    return first


def _first_pairs(arguments: Any) -> Pairs:
    """Of `OrderedDict([(key, value), ...])` and `Counter({...})`."""
    first = (
        next((part for part in arguments if isinstance(part, list)), None)
        if isinstance(arguments, tuple)
        else None
    )
    if first is None:
        return Pairs()
    if isinstance(first, Pairs):
        return first
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in first):
        raise InputError("is a dict without its items", hint=COPY_AGAIN)
    return Pairs((pair[0], pair[1]) for pair in first)


def _key_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool | int | float):
        return str(key)
    if (
        isinstance(key, tuple)
        and len(key) <= 8
        and all(part is None or isinstance(part, str | bool | int | float) for part in key)
        # `repr` copies, once for each place where the key stands.
        and not any(isinstance(part, str) and len(part) > _MAX_KEY for part in key)
    ):
        return repr(key)
    if isinstance(key, Global):
        return key.name
    return "(a key that is no text)"
