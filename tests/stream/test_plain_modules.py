"""Modules of every kind give the same bits with their weights streamed as with them in memory."""

import copy

import pytest
import torch
from torch import Tensor, nn

import outgrow.stream as ts
from outgrow.errors import InputError
from outgrow.stream.attachment import stream_of
from tests.stream.plain_models import KINDS, WIDTH, Noisy, built, built_anew, encoder, rows
from tests.stream.streaming import Ballast, assert_plain, assert_same, streamed, twins


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind", KINDS)
def test_streamed_modules_give_the_same_bits(kind, tmp_path):
    _, inputs = KINDS[kind]
    resident, model = built_anew(kind), streamed(built_anew(kind), tmp_path)
    inner = [w for w in stream_of(model).weights if w.name.startswith("inner") and w.weight.nbytes > 4096]
    assert any(weight.is_streamed for weight in inner)
    state = {name: value.clone() for name, value in resident.state_dict().items()}
    with _no_fast_path(resident), torch.no_grad():
        for _ in range(4):
            assert_same(model(*inputs()), resident(*inputs()))
    # A streamed weight is frozen, and torch chooses other kernels for frozen weights where gradients are on.
    trained = [parameter for parameter in resident.parameters() if parameter.requires_grad]
    resident.requires_grad_(False)
    with _no_fast_path(resident):
        assert_same(model(*inputs()), resident(*inputs()))
    for parameter in trained:
        parameter.requires_grad_()
    assert stream_of(model).account.peak_bytes <= stream_of(model).budget_bytes
    assert list(model.state_dict()) == list(state)
    if kind not in ("parametrizations",):  # spectral_norm's own buffers change with every use
        assert_same(model.state_dict(), state)
    assert not [problem for problem in ts.health(model).problems if "times as long" not in problem]
    ts.restore(model)
    with _no_fast_path(resident), torch.no_grad():
        assert_same(model(*inputs()), resident(*inputs()))
    for one, other in zip(model.parameters(), built_anew(kind).parameters(), strict=True):
        assert one.stride() == other.stride() or other.stride() == (2 * WIDTH, 2)
        assert one.requires_grad == other.requires_grad


class _no_fast_path:
    """Transformer modules of torch have a fused path of other bits, taken only where nothing is hooked."""

    def __init__(self, model):
        self.attention = any(isinstance(module, nn.MultiheadAttention) for module in model.modules())

    def __enter__(self):
        if self.attention:
            torch.backends.mha.set_fastpath_enabled(False)

    def __exit__(self, *exc):
        torch.backends.mha.set_fastpath_enabled(True)


@pytest.mark.parametrize("norm_first", [False, True])
def test_torch_encoders_take_the_slow_path_or_equal_the_fast_one(norm_first, tmp_path):
    resident, model = twins(Ballast(built(lambda: encoder(norm_first=norm_first))), tmp_path)
    (x,) = rows(2, 5, WIDTH)()
    with torch.no_grad():
        fast, _ = resident(x)
        with _no_fast_path(resident):
            slow, _ = resident(x)
        for _ in range(3):
            result, _ = model(x)
            assert torch.equal(result, slow) or torch.equal(result, fast)
            assert torch.allclose(result, fast, atol=1e-5)


def test_nothing_is_left_on_a_restored_model(tmp_path):
    model = Ballast(built(Noisy))
    streamed(model, tmp_path)
    ts.restore(model)
    assert_plain(model)


def test_a_model_in_a_model_is_refused_when_both_would_be_streamed(tmp_path):
    outer = nn.Sequential(nn.Linear(WIDTH, 300), nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 4)))
    resident = copy.deepcopy(outer)
    streamed(outer[1], tmp_path / "inner")
    with pytest.raises(InputError, match="streamed already"):
        ts.offload(outer, ts.Config(storage_path=tmp_path / "outer", budget=100_000))
    (x,) = rows(4, WIDTH)()
    with torch.no_grad():
        assert_same(outer(x), resident(x))
    ts.restore(outer)
    assert_plain(outer)


def test_a_part_of_a_streamed_model_is_refused(tmp_path):
    resident, model = twins(nn.Sequential(nn.Linear(WIDTH, 3000), nn.Linear(3000, 4)), tmp_path)
    with pytest.raises(InputError, match="streamed") as error:
        ts.offload(model[0], ts.Config(storage_path=tmp_path, budget=20_000))
    assert error.value.hint
    (x,) = rows(4, WIDTH)()
    with torch.no_grad():
        assert_same(model(x), resident(x))


def test_a_resident_part_of_a_streamed_model_is_refused(tmp_path):
    layers = (nn.Linear(4, 160), *(nn.Linear(160, 160) for _ in range(4)))
    resident, model = twins(nn.Sequential(*layers), tmp_path, 200_000, keep_resident=("0.*",))
    assert type(model[0].weight) is nn.Parameter
    with pytest.raises(InputError, match="part of another model"):
        ts.offload(model[0], ts.Config(storage_path=tmp_path, budget=20))
    ts.restore(model)
    assert_plain(model)
    assert_same(model.state_dict(), resident.state_dict())


def test_a_streamed_part_of_a_plain_model_runs(tmp_path):
    outer = nn.Sequential(nn.Linear(WIDTH, 300), nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 4)))
    resident = copy.deepcopy(outer)
    streamed(outer[1], tmp_path)
    (x,) = rows(4, WIDTH)()
    with torch.no_grad():
        assert_same(outer(x), resident(x))
    assert ts.statistics(outer).passes == 1


def test_embeddings_that_renormalise_are_refused_before_anything_changes(tmp_path):
    model = nn.Sequential(
        nn.Embedding(2000, WIDTH, max_norm=1.0), nn.Linear(WIDTH, 300), nn.Linear(300, WIDTH)
    )
    resident, model = twins(model, tmp_path)
    with torch.no_grad(), pytest.raises(InputError, match="max_norm") as error:
        model(torch.arange(4))
    assert "keep_resident" in error.value.hint
    del resident


def test_values_read_outside_forward_are_right(tmp_path):
    resident, model = twins(Ballast(built(Noisy)), tmp_path)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            expected = resident.get_parameter(name)
            assert torch.equal(weight, expected)
            assert_same(weight * 2, expected * 2)
            assert weight.sum().item() == expected.sum().item()
            assert weight.tolist() == expected.tolist()
            assert (weight.numpy() == expected.numpy()).all()
            assert torch.equal(weight.data, expected)
            assert torch.equal(weight.detach().clone(), expected)
            assert isinstance(weight[0], Tensor)
