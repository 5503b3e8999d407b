"""Every method of a module does on a streamed model what it does on a resident one, or refuses clearly."""

import contextlib
import copy
import pickle
import sys

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import OutgrowError
from outgrow.stream.attachment import stream_of
from outgrow.stream.handle import StreamedWeightError
from tests.stream.streamed_twins import assert_runs_the_same, tall
from tests.stream.streaming import assert_same, streamed, token_ids, twins, weights_bytes


@pytest.fixture
def pair(tmp_path):
    return twins(tall(), tmp_path / "store")


def test_names_and_modules_are_the_same(pair):
    resident, model = pair
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        actual, expected = list(getattr(model, method)()), list(getattr(resident, method)())
        assert [name for name, _ in actual] == [name for name, _ in expected]
        assert [type(item) if isinstance(item, nn.Module) else item.shape for _, item in actual] == [
            type(item) if isinstance(item, nn.Module) else item.shape for _, item in expected
        ]
    for method in ("parameters", "buffers", "modules", "children"):
        assert len(list(getattr(model, method)())) == len(list(getattr(resident, method)()))
    options = {"prefix": "x", "remove_duplicate": False}
    for method in ("named_parameters", "named_modules", "named_buffers"):
        actual, expected = getattr(model, method)(**options), getattr(resident, method)(**options)
        assert [name for name, _ in actual] == [name for name, _ in expected]
    memo = set()
    first = list(model.named_modules(memo=memo))
    assert memo == set(model.modules())
    assert first
    assert not list(model.named_modules(memo=memo))
    assert str(model) == str(resident)


def test_parameters_look_real(pair):
    resident, model = pair
    for (name, one), other in zip(model.named_parameters(), resident.parameters(), strict=True):
        assert isinstance(one, nn.Parameter), name
        for attribute in (
            "shape",
            "dtype",
            "device",
            "ndim",
            "layout",
            "is_leaf",
            "nbytes",
            "itemsize",
            "grad",
        ):
            assert getattr(one, attribute) == getattr(other, attribute), (name, attribute)
        for method in (
            "size",
            "dim",
            "numel",
            "stride",
            "element_size",
            "is_contiguous",
            "is_floating_point",
        ):
            assert getattr(one, method)() == getattr(other, method)(), (name, method)
        assert len(one) == len(other)
        assert torch.equal(one, other)
    assert model.device == resident.device == next(model.parameters()).device
    assert model.dtype == resident.dtype
    assert model.num_parameters() == resident.num_parameters()
    assert model.get_memory_footprint() == resident.get_memory_footprint()
    assert model.get_parameter("lm_head.weight") is model.get_input_embeddings().weight


def test_train_and_eval(pair):
    resident, model = pair
    assert model.train() is model
    assert all(module.training for module in model.modules())
    model.eval()
    assert not any(module.training for module in model.modules())
    assert_runs_the_same(model, resident)


def test_apply_and_hooks(pair):
    resident, model = pair
    seen, called = [], []
    assert model.apply(seen.append) is model
    assert len(seen) == len(list(model.modules()))
    handle = model.model.layers[0].mlp.down_proj.register_forward_hook(lambda *_: called.append(1))
    assert_runs_the_same(model, resident)
    assert len(called) == 2
    handle.remove()


@pytest.mark.parametrize("convert", ["half", "bfloat16", "double", "to half", "to like", "half, then back"])
def test_converting_the_whole_model(convert, pair):
    resident, model = pair
    conversions = {
        "half": lambda m: m.half(),
        "bfloat16": lambda m: m.bfloat16(),
        "double": lambda m: m.double(),
        "to half": lambda m: m.to(torch.float16),
        "to like": lambda m: nn.Module.to(m, torch.empty(1, dtype=torch.bfloat16)),
        "half, then back": lambda m: m.double().float(),
    }
    with ts.closing(model):
        ts.set_budget(model, int(weights_bytes(resident) * 0.9))
        expected = conversions[convert](resident)
        assert conversions[convert](model) is model
        assert [p.dtype for p in model.parameters()] == [p.dtype for p in expected.parameters()]
        assert [b.dtype for b in model.buffers()] == [b.dtype for b in expected.buffers()]
        assert_runs_the_same(model, expected)
        assert_same(model.state_dict(), expected.state_dict())
        assert stream_of(model).account.peak_bytes <= stream_of(model).budget_bytes


def test_rounding_twice_is_refused(pair):
    resident, model = pair
    model.half()
    with pytest.raises(StreamedWeightError, match="round twice") as error:
        model.float()
    assert error.value.hint
    assert_runs_the_same(model, resident.half())


def test_a_part_cannot_be_converted_by_itself(pair):
    resident, model = pair
    for convert in (lambda m: m.half(), lambda m: m.to("meta"), lambda m: m.to(torch.float64)):
        with pytest.raises(OutgrowError):
            convert(model.model.layers[0])
    model.model.layers[0].to("cpu")
    assert_runs_the_same(model, resident)


@pytest.mark.parametrize(
    "move",
    [lambda m: m.cuda(), lambda m: m.to("cuda"), lambda m: m.to("cuda", torch.float16)],
    ids=["cuda()", "to", "to with a dtype"],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_moving_fails_as_torch_does(move, pair):
    resident, model = pair
    with pytest.raises((AssertionError, RuntimeError)) as error:
        move(copy.deepcopy(resident))
    with pytest.raises(type(error.value), match=str(error.value)[:20]):
        move(model)
    assert model.dtype == torch.float32
    assert_runs_the_same(model, resident)
    assert model.cpu() is model
    assert model.to("cpu") is model
    assert_runs_the_same(model, resident)


def test_the_meta_device_is_refused(pair):
    resident, model = pair
    with pytest.raises(OutgrowError, match="meta"):
        model.to("meta")
    with pytest.raises(OutgrowError):
        model.to_empty(device="meta")
    assert_runs_the_same(model, resident)


WRITES = {
    "mul_": lambda w: w.mul_(2),
    "copy_": lambda w: w.copy_(torch.zeros(w.shape)),
    "set": lambda w: w.__setitem__(0, 0.0),
    "iadd": lambda w: w.__iadd__(1),
    "out": lambda w: torch.zeros(1, out=w),
    "[0].fill_": lambda w: w[0].fill_(0),
    "T.zero_": lambda w: w.T.zero_(),
    "view.copy_": lambda w: w.view(-1).copy_(torch.zeros(w.numel())),
    "unbind.mul_": lambda w: w.unbind()[1].mul_(2),
    "data.mul_": lambda w: w.data.mul_(2),
    "data[0] =": lambda w: w.data.__setitem__(0, 0.0),
    "data.add_": lambda w: w.data.add_(1),
    "data.view.mul_": lambda w: w.data.view(-1).mul_(2),
    "data.T.data.zero_": lambda w: w.data.T.data.zero_(),
    "data[0].fill_": lambda w: w.data[0].fill_(0),
    "data +=": lambda w: w.data.__iadd__(1),
    "data out": lambda w: torch.add(torch.zeros(w.shape), 1, out=w.data),
    "data =": lambda w: setattr(w, "data", torch.zeros(w.shape)),
    "init": lambda w: nn.init.normal_(w),
    "init of data": lambda w: nn.init.zeros_(w.data),
}


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_a_streamed_weight_is_refused(write, pair):
    resident, model = pair
    weight = model.model.layers[0].mlp.up_proj.weight
    with torch.no_grad(), pytest.raises(StreamedWeightError, match=r"up_proj\.weight.*in place") as error:
        WRITES[write](weight)
    assert "restore" in error.value.hint
    assert torch.equal(weight, resident.model.layers[0].mlp.up_proj.weight)
    assert_runs_the_same(model, resident)


def test_data_can_be_computed_with(pair):
    resident, model = pair
    data, expected = model.lm_head.weight.data, resident.lm_head.weight.data
    assert data.shape == expected.shape
    assert data.dtype == expected.dtype
    for result, wanted in [
        (data * 2, expected * 2),
        (data.clone(), expected.clone()),
        (data.double(), expected.double()),
        (torch.stack([data, data]), torch.stack([expected, expected])),
        (data.norm(), expected.norm()),
        (data.abs().max(dim=0).values, expected.abs().max(dim=0).values),
        (
            torch.nn.functional.linear(torch.ones(1, 64), data),
            torch.nn.functional.linear(torch.ones(1, 64), expected),
        ),
    ]:
        assert type(result) is torch.Tensor
        assert torch.equal(result, wanted)
    assert torch.equal(data[3:5].T, expected[3:5].T)
    assert (data.numpy() == expected.numpy()).all()
    assert type(copy.deepcopy(data)) is torch.Tensor
    assert type(pickle.loads(pickle.dumps(data))) is torch.Tensor
    data.clone().mul_(2)
    linear = nn.Linear(64, 67, bias=False)
    linear.weight.data.copy_(data)
    assert torch.equal(linear.weight, expected)
    assert "ReadOnlyWeight" in type(data).__name__
    assert repr(data)


def test_context_manager_and_statistics_of_wrapped_models(pair):
    resident, model = pair
    wrapper = nn.ModuleDict({"inner": model})
    with torch.no_grad():
        wrapper["inner"](token_ids())
    assert ts.statistics(wrapper).passes == 1
    assert ts.health(wrapper).is_healthy
    assert ts.estimate_model_memory(wrapper) == ts.estimate_model_memory(resident)


def test_zero_grad_and_requires_grad(pair):
    resident, model = pair
    model.zero_grad()
    model.requires_grad_(False)
    assert_runs_the_same(model, resident.requires_grad_(False))
    with pytest.raises(StreamedWeightError, match="cannot be trained") as error:
        model.requires_grad_(True)
    assert "adapter" in error.value.hint
    weight = model.model.layers[0].mlp.up_proj.weight
    with pytest.raises(StreamedWeightError, match="cannot be trained"):
        weight.requires_grad = True
    assert not weight.requires_grad


def test_sharing_memory_is_possible_or_refused(tmp_path):
    resident, model = twins(tall(), tmp_path)
    with contextlib.suppress(OutgrowError, RuntimeError):
        model.share_memory()
    assert_runs_the_same(model, resident)


def test_a_stream_within_another_wrapper_of_torch(tmp_path, monkeypatch):
    # Where `outgrow.shard` was imported, torch takes its device for an accelerator: DataParallel goes there.
    module = sys.modules["torch.nn.parallel.data_parallel"]
    monkeypatch.setattr(module, "_get_available_device_type", lambda: None)
    resident = tall()
    model = streamed(tall(), tmp_path)
    assert_runs_the_same(torch.nn.DataParallel(model), resident)
