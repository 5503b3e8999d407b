import contextlib
import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.shard.instructions import FLOAT, INPUT, TensorMeta
from outgrow.shard.wire.arguments import (
    check_op_name,
    decode_arguments,
    decode_meta,
    encode_arguments,
    encode_meta,
)
from outgrow.shard.wire.frame import ProtocolError

_floats = st.floats(allow_nan=True, allow_infinity=True)
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    _floats,
    st.builds(complex, _floats, _floats),
    st.text(max_size=30),
    st.sampled_from(
        [torch.float32, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16, torch.strided,
         torch.sparse_coo, torch.channels_last, torch.preserve_format, INPUT, FLOAT]
    ),
)  # fmt: skip
_arguments = st.recursive(
    _leaves, lambda some: st.lists(some, max_size=4) | st.lists(some, max_size=4).map(tuple), max_leaves=12
)


def _same(one, other):
    """Equal in value, type and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, complex):
        return _same(one.real, other.real) and _same(one.imag, other.imag)
    return one == other


@given(_arguments)
def test_arguments_come_back_with_value_type_and_bits(value):
    assert _same(decode_arguments(json.loads(json.dumps(encode_arguments(value)))), value)


def test_a_device_is_left_out_and_a_size_becomes_a_tuple():
    assert decode_arguments(encode_arguments(torch.device("cpu"))) is None
    assert decode_arguments(encode_arguments(torch.Size([2, 3]))) == (2, 3)


@pytest.mark.parametrize(
    "value", [torch.Generator(), object(), 1 << 64, print, torch.zeros(2), b"bytes", {"a": 1}]
)
def test_what_cannot_be_sent_is_refused_before_it_is(value):
    with pytest.raises(InputError):
        encode_arguments((1, [value]))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(
            st.sampled_from(["list", "hole", "float", "complex", "dtype", "format", "layout", "x"]),
            some,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@given(_json)
def test_any_json_is_arguments_or_refused(value):
    with contextlib.suppress(ProtocolError):
        decode_arguments(value)


def test_deep_nesting_is_refused():
    value = []
    for _ in range(50):
        value = [value]
    with pytest.raises(ProtocolError, match="deep"):
        decode_arguments(value)


@pytest.mark.parametrize("name", ["aten.add.Tensor", "aten._to_copy.default", "outgrow.read_view",
                                  "torchvision.nms.default", "prims.sum.default"])  # fmt: skip
def test_ops_of_known_namespaces_are_named(name):
    assert check_op_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["os.system.default", "aten.from_file.default", "aten.add.Tensor.x", "aten", "", None, "aten.a-b.c",
     "__class__.x.y", "aten.add.Tensor\n", "load_library.x.y"],
)  # fmt: skip
def test_other_names_are_refused(name):
    with pytest.raises(ProtocolError):
        check_op_name(name)


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)), max_size=5))
def test_metas_come_back(sizes):
    meta = TensorMeta(
        tuple(size % 7 for size, _ in sizes), tuple(stride for _, stride in sizes), torch.bfloat16
    )
    assert decode_meta(json.loads(json.dumps(encode_meta(meta)))) == meta


@pytest.mark.parametrize(
    "value",
    [
        None, [], [[1], [1, 2], "float32"], [[-1], [1], "float32"], [[1], [1], "x"], [[1.5], [1], "float32"],
        [[True], [1], "float32"], [[1 << 61], [1], "float64"], [[1] * 65, [1] * 65, "int8"],
    ],
)  # fmt: skip
def test_what_describes_no_tensor_is_refused(value):
    with pytest.raises(ProtocolError):
        decode_meta(value)
