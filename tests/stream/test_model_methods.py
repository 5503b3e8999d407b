"""Every method of a module does on a streamed model what it does on a resident one, or refuses clearly."""

import contextlib
import copy
import filecmp
import io
import multiprocessing
import pickle
import sys

import pytest
import torch
import transformers
from torch import nn

import outgrow.stream as ts
from outgrow.errors import OutgrowError
from outgrow.stream.attachment import stream_of
from outgrow.stream.handle import StreamedParameter, StreamedWeightError
from tests.stream.streaming import assert_same, llama, streamed, token_ids, twins, weights_bytes

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}


def tall(dtype=torch.float32):
    return llama(dtype, **LARGE)


@pytest.fixture
def pair(tmp_path):
    return twins(tall(), tmp_path / "store")


def assert_runs_the_same(model, resident):
    with torch.no_grad():
        for _ in range(2):
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)


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


def test_state_dict_is_of_plain_tensors(pair):
    resident, model = pair
    state = model.state_dict()
    assert list(state) == list(resident.state_dict())
    assert {type(value) for value in state.values()} == {torch.Tensor}
    assert_same(state, resident.state_dict())
    assert state["lm_head.weight"].data_ptr() == state["model.embed_tokens.weight"].data_ptr()
    # What was read for the caller is the caller's own.
    for name, value in state.items():
        if isinstance(model.get_parameter(name), StreamedParameter):
            value.zero_()
    del state, value
    assert_runs_the_same(model, resident)
    assert_same(model.state_dict(), resident.state_dict())
    nested = model.model.layers[1].state_dict(prefix="x.")
    assert_same(nested, resident.model.layers[1].state_dict(prefix="x."))


def test_load_state_dict_exchanges_weights(pair):
    resident, model = pair
    new = {name: value * 1.5 for name, value in resident.state_dict().items()}
    assert str(model.load_state_dict(new)) == "<All keys matched successfully>"
    resident.load_state_dict(new)
    assert_runs_the_same(model, resident)
    part = {"model.norm.weight": torch.full((64,), 2.0), "other": torch.zeros(1)}
    actual, expected = model.load_state_dict(part, strict=False), resident.load_state_dict(part, strict=False)
    assert sorted(actual.missing_keys) == sorted(expected.missing_keys)
    assert actual.unexpected_keys == expected.unexpected_keys
    assert_runs_the_same(model, resident)
    assert_same(model.state_dict(), resident.state_dict())


def test_load_state_dict_refuses_as_torch_does(pair):
    resident, model = pair
    state = resident.state_dict()
    wrong = {**state, "model.norm.weight": torch.zeros(3)}
    del wrong["model.layers.0.mlp.up_proj.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*size mismatch for model.norm.weight|size mismatch"):
        model.load_state_dict(wrong)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict({**state, "x": torch.zeros(1)})
    with pytest.raises(OutgrowError, match="assign"):
        model.load_state_dict(state, assign=True)
    assert_runs_the_same(model, resident)


def test_every_name_of_a_shared_module_can_be_loaded(tmp_path):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(200, 200)
            self.second = nn.Linear(200, 200)
            self.again = self.first

        def forward(self, x):
            return self.again(self.second(self.first(x)))

    resident, model = twins(Shared(), tmp_path)
    state = resident.state_dict()
    for change in ({}, {"first.weight": torch.ones(200, 200)}, {"again.weight": torch.zeros(200, 200)}):
        given = {name: change.get(name, value.clone()) for name, value in state.items()}
        model.load_state_dict(given)
        resident.load_state_dict(given)
        with torch.no_grad():
            assert_same(model(torch.ones(3, 200)), resident(torch.ones(3, 200)))


def test_loading_changes_nothing_where_one_shape_is_wrong(tmp_path):
    resident, model = twins(
        nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 200), nn.BatchNorm1d(200)), tmp_path
    )
    state = {name: value * 2 for name, value in resident.state_dict().items()}
    state["2.running_mean"] = torch.zeros(3)
    with pytest.raises(RuntimeError, match=r"size mismatch for 2\.running_mean"):
        model.load_state_dict(state)
    assert_same(model.state_dict(), resident.state_dict())


def test_a_part_loads_its_state(pair):
    resident, model = pair
    new = {name: value * 1.5 for name, value in resident.model.layers[1].state_dict().items()}
    assert str(model.model.layers[1].load_state_dict(new)) == "<All keys matched successfully>"
    resident.model.layers[1].load_state_dict(new)
    assert_runs_the_same(model, resident)


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "100kB"}], ids=["one file", "shards"])
def test_saved_files_are_equal_byte_for_byte(options, pair, tmp_path):
    resident, model = pair
    model.save_pretrained(tmp_path / "ours", **options)
    resident.save_pretrained(tmp_path / "theirs", **options)
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == names
    same, different, missing = filecmp.cmpfiles(tmp_path / "ours", tmp_path / "theirs", names, shallow=False)
    assert (sorted(same), different, missing) == (names, [], [])


def test_a_loaded_model_saves_what_it_was_loaded_from(tmp_path):
    tall().save_pretrained(tmp_path / "source")
    ts.load(tmp_path / "source", budget="300kB").save_pretrained(tmp_path / "copy")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "source")
    theirs.save_pretrained(tmp_path / "theirs")
    for name in ("model.safetensors", "config.json"):
        assert filecmp.cmp(tmp_path / "copy" / name, tmp_path / "theirs" / name, shallow=False)


def test_copies_are_streamed_by_themselves(pair):
    resident, model = pair
    copied = copy.deepcopy(model)
    assert copied is not model
    assert type(copied) is type(model)
    assert copied.lm_head.weight is copied.model.embed_tokens.weight
    assert copied.lm_head.weight is not model.lm_head.weight
    assert not stream_of(copied).plan.streams_nothing
    with ts.closing(model):
        assert_runs_the_same(model, resident)
    assert_runs_the_same(copied, resident)
    ts.restore(copied)
    assert [p.requires_grad for p in copied.parameters()] == [p.requires_grad for p in resident.parameters()]


def test_a_copied_part_is_plain(pair):
    resident, model = pair
    part = copy.deepcopy(model.model.layers[0])
    for one, other in zip(part.parameters(), resident.model.layers[0].parameters(), strict=True):
        assert type(one) is nn.Parameter
        assert torch.equal(one, other)
    assert not any("forward" in module.__dict__ for module in part.modules())
    linear = copy.deepcopy(model.model.layers[0].mlp.up_proj)
    x = torch.randn(2, 64)
    with torch.no_grad():
        linear.weight.mul_(2)
        assert_same(linear(x), resident.model.layers[0].mlp.up_proj(x) * 2)
    weight = copy.deepcopy(model.lm_head.weight)
    assert type(weight) is nn.Parameter
    assert torch.equal(weight, resident.lm_head.weight)
    assert_runs_the_same(model, resident)


def test_pickled_models_are_small_and_open_again(pair):
    resident, model = pair
    data = pickle.dumps(model)
    assert len(data) < weights_bytes(resident)
    again = pickle.loads(data)
    assert_runs_the_same(again, resident)
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert not stream_of(again).plan.streams_nothing


def test_torch_save_and_load(pair):
    resident, model = pair
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert_runs_the_same(torch.load(file, weights_only=False), resident)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert_same(torch.load(file, weights_only=True), resident.state_dict())
    file = io.BytesIO()
    torch.save({"all": model.lm_head.weight, "data": model.lm_head.weight.data}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert {type(value) for value in loaded.values()} <= {nn.Parameter, torch.Tensor}
    assert torch.equal(loaded["all"], resident.lm_head.weight)
    assert torch.equal(loaded["data"], resident.lm_head.weight)


def _logits(model, ids):
    with torch.no_grad():
        return model(ids).logits.numpy()


@pytest.mark.slow
def test_a_model_sent_to_another_process(pair):
    resident, model = pair
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(_logits, (model, token_ids()))
    with torch.no_grad():
        assert (result == resident(token_ids()).logits.numpy()).all()


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


def test_a_model_goes_to_a_spawned_process(pair):
    resident, model = pair
    spawning = multiprocessing.get_context("spawn")
    with ts.closing(model):
        ours, theirs = spawning.Pipe()
        process = spawning.Process(target=send_logits, args=(model, token_ids(), theirs))
        process.start()
        theirs.close()
        try:
            assert ours.poll(100)
            logits = torch.tensor(ours.recv())
        finally:
            process.join(20)
    assert process.exitcode == 0
    with torch.no_grad():
        assert torch.equal(logits, resident(token_ids()).logits)


def send_logits(model, ids, pipe):
    with torch.no_grad():
        pipe.send(model(ids).logits.tolist())
    ts.restore(model)
