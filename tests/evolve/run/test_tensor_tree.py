"""State comes back as it was, kinds and bits included."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.evolve.run.tensor_tree import pack, unpack

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text() | st.floats(allow_nan=False)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(trees)
def test_what_is_packed_comes_back(value):
    back = unpack(pack(value, {}), {})
    assert back == value
    assert repr(back) == repr(value)


def test_optimizer_states_come_back():
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    tensors = {}
    packed = pack(optimizer.state_dict(), tensors)
    back = unpack(packed, tensors)
    assert back["param_groups"] == optimizer.state_dict()["param_groups"]
    assert torch.equal(back["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


def test_numbers_that_json_has_not_come_back():
    assert math.isnan(unpack(pack(math.nan, {}), {}))
    assert unpack(pack(-math.inf, {}), {}) == -math.inf


def test_what_cannot_be_packed_is_named():
    with pytest.raises(InputError, match="a set cannot be part"):
        pack({"a": {1, 2}}, {})


@pytest.mark.parametrize("held", [{}, {"a": 1, "b": 2}, {"code": "import os"}])
def test_what_is_no_packed_state_is_refused(held):
    with pytest.raises(ValueError, match="no packed state"):
        unpack(held, {})
