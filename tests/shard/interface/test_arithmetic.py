"""Expressions of the predecessor's tensors, and their gradients, are torch's."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import outgrow.shard as gt
from outgrow.shard.client.inference import Inference
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink

INFERENCE = Inference()
SHAPES = st.lists(st.integers(0, 4), min_size=0, max_size=3).map(tuple)


@settings(max_examples=15)
@given(shape=SHAPES, seed=st.integers(0, 99))
def test_arithmetic_is_torchs(shape, seed):
    data = np.random.default_rng(seed).standard_normal(shape).astype("float64")
    other = np.random.default_rng(seed + 1).uniform(0.5, 2, shape)

    def compute(x, y):
        z = (x + y) * x - y / 2
        z = (z * z + 1).sqrt().log().exp() - (-x).relu() + x.sigmoid() * y.tanh() + (x / y) ** 2
        return (z * (x > 0)).sum()

    with use_session(Session(SimulatedLink(2), inference=INFERENCE)):
        ours = [gt.from_numpy(one, requires_grad=True) for one in (data, other)]
        plain = [torch.tensor(one, requires_grad=True) for one in (data, other)]
        found, expected = compute(*ours), compute(*plain)
        found.backward()
        expected.backward()
        np.testing.assert_allclose(found.data, expected.detach(), rtol=1e-12, atol=1e-12)
        for one, two in zip(ours, plain, strict=True):
            np.testing.assert_allclose(one.grad.data, two.grad, rtol=1e-12, atol=1e-12)
