"""States, files, copies, pickles and other processes get of a streamed model what they get of any."""

import copy
import filecmp
import io
import multiprocessing
import pickle

import pytest
import torch
import transformers
from torch import nn

import outgrow.stream as ts
from outgrow.errors import OutgrowError
from outgrow.stream.attachment import stream_of
from outgrow.stream.handle import StreamedParameter
from tests.stream.streamed_twins import assert_runs_the_same, tall
from tests.stream.streaming import assert_same, token_ids, twins, weights_bytes


@pytest.fixture
def pair(tmp_path):
    return twins(tall(), tmp_path / "store")


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
