"""A recording holds what the modules saw when they saw it, whatever becomes of the tensors later."""

import dataclasses
from collections import namedtuple
from typing import NamedTuple

import pytest
import torch
from torch import nn

from outgrow.capture import open_own, record
from outgrow.errors import InputError
from tests.capture.recorded_model import Model, by_name, names


def test_outputs_come_in_order_of_execution_with_their_own_bits(tmp_path):
    model, given = Model(), torch.randn(5, 6)
    with record(model, tmp_path / "run") as recorder:
        found = model(given)
    assert names(tmp_path / "run") == [
        "layers.0.up.output", "layers.0.act.output", "layers.0.down.output", "layers.0.output",
        "layers.1.up.output", "layers.1.act.output", "layers.1.down.output", "layers.1.output",
        "norm.output", "output",
    ]  # fmt: skip
    assert torch.equal(by_name(tmp_path / "run")["output"], found)
    assert recorder.records == 10
    assert recorder.nbytes == sum(item.nbytes for item in open_own(tmp_path / "run").records)


def test_what_is_written_to_later_is_kept_as_it_was_seen(tmp_path):
    model = Model()
    with record(model, tmp_path / "run", only="layers.0.*"):
        model(torch.randn(5, 6))
    found = by_name(tmp_path / "run")
    # ReLU works in place: without a copy both would hold its output.
    assert (found["layers.0.up.output"] < 0).any()
    assert torch.equal(found["layers.0.up.output"].relu(), found["layers.0.act.output"])


def test_a_run_is_what_it_is_without_a_recording(tmp_path):
    torch.manual_seed(0)
    model, given = Model(), torch.randn(5, 6)
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    kinds = ("outputs", "inputs", "gradients", "parameters")
    with record(model, tmp_path / "run", kinds=kinds):
        recorded = model(given)
        recorded.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model.load_state_dict(model.state_dict())
    plain = model(given)
    plain.square().sum().backward()
    assert torch.equal(plain, recorded)
    assert all(map(torch.equal, gradients, [parameter.grad for parameter in model.parameters()]))
    assert hooks == [
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    ]
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())


def test_each_call_of_the_model_is_a_step(tmp_path):
    model = Model().eval()
    with record(model, tmp_path / "run", only="norm"):
        for _ in range(3):
            model(torch.randn(2, 6))
    assert names(tmp_path / "run") == ["norm.output", "norm.output[step 1]", "norm.output[step 2]"]
    assert [item.step for item in open_own(tmp_path / "run").records] == [0, 1, 2]


def test_steps_by_hand_take_in_several_calls(tmp_path):
    model = Model().eval()
    with record(model, tmp_path / "run", only="norm") as recorder:
        for _ in range(2):
            recorder.next_step()
            model(torch.randn(2, 6))
            model(torch.randn(2, 6))
    assert [(item.step, item.call) for item in open_own(tmp_path / "run").records] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip


def test_a_module_called_twice_counts_its_calls(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, values):
            return self.inner(self.inner(values))

    model = Twice()
    with record(model, tmp_path / "run", kinds=("inputs", "outputs"), only="inner"):
        model(torch.randn(1, 3))
    assert names(tmp_path / "run") == [
        "inner.input.input", "inner.output", "inner.input.input[call 1]", "inner.output[call 1]",
    ]  # fmt: skip


def test_inputs_have_the_names_of_the_signature(tmp_path):
    model = Model().eval()
    given = torch.randn(2, 6)
    with record(model, tmp_path / "run", kinds=("inputs",), only="layers.0"):
        model(given)
        given.zero_()
    ((name, values),) = by_name(tmp_path / "run").items()
    assert name == "layers.0.input.values"
    assert values.any()


def test_gradients_of_outputs_and_parameters(tmp_path):
    model, given = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(5, 3)
    with record(model, tmp_path / "run", kinds="gradients"):
        output = model(given)
        output.retain_grad()
        (output**2).sum().backward()
    found = by_name(tmp_path / "run")
    assert torch.equal(found["2.output.gradient"], output.grad)
    assert torch.equal(found["output.gradient"], output.grad)
    assert torch.equal(found["0.weight.gradient"], model[0].weight.grad)
    assert torch.equal(found["2.bias.gradient"], model[2].bias.grad)
    assert len(found) == 4 + 4


def test_parameters_are_those_of_the_steps_beginning_and_states_those_of_its_end(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    kinds, before = ("parameters", "optimizer"), model[0].weight.detach().clone()
    with record(model, tmp_path / "run", kinds=kinds, optimizer=optimizer, only="0"):
        for _ in range(2):
            model(torch.randn(4, 3)).square().sum().backward()
            optimizer.step()
    found = by_name(tmp_path / "run")
    assert torch.equal(found["0.weight"], before)
    assert not torch.equal(found["0.weight[step 1]"], before)
    assert torch.equal(found["0.weight.exp_avg[step 1]"], optimizer.state[model[0].weight]["exp_avg"])
    assert found["0.bias.step"].shape == ()
    assert not any(name.startswith("1.") for name in found)


def test_buffers_come_with_the_parameters(tmp_path):
    model = nn.BatchNorm1d(2)
    with record(model, tmp_path / "run", kinds=("parameters",)):
        model(torch.randn(4, 2))
    assert {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"} == set(
        by_name(tmp_path / "run")
    )


class Named(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclasses.dataclass
class Result:
    logits: torch.Tensor
    hidden: tuple


class Strange:
    pass


class Structured(nn.Module):
    def forward(self, values):
        return {
            "pair": (values, values + 1),
            "named": Named(values, values),
            "result": Result(values, (values, None, 3)),
            "strange": Strange(),
        }


def test_structured_outputs_are_named_and_strangers_refused(tmp_path):
    with record(model := Structured(), tmp_path / "run"):
        model(torch.ones(1))
    assert names(tmp_path / "run") == [
        "output.pair.0", "output.pair.1", "output.named.left", "output.named.right",
        "output.result.logits", "output.result.hidden.0",
    ]  # fmt: skip
    (refusal,) = open_own(tmp_path / "run").refused
    assert refusal.entry == "output.strange"
    assert "Strange" in refusal.reason


def test_caches_of_transformers_are_looked_into(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with record(model, tmp_path / "run", only=""), torch.inference_mode():
        for _ in range(2):
            model(torch.ones(1, 3, dtype=torch.long))
    assert names(tmp_path / "run")[:5] == [
        "output.logits", "output.past_key_values.0.keys", "output.past_key_values.0.values",
        "output.past_key_values.1.keys", "output.past_key_values.1.values",
    ]  # fmt: skip
    assert open_own(tmp_path / "run").refused == ()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: torch.ones(2, device="meta"), "meta"),
        (lambda: torch.ones(2, 2).to_sparse(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantized"),
        (lambda: nn.UninitializedParameter(), "initialised"),
    ],
    ids=["meta", "sparse", "quantized", "lazy"],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_tensors_without_plain_values_are_refused_by_name(tmp_path, make, word):
    class Odd(nn.Module):
        def forward(self, values):
            return {"odd": make(), "plain": values}

    with record(model := Odd(), tmp_path / "run"):
        model(torch.ones(2))
        model(torch.ones(2))
    assert names(tmp_path / "run") == ["output.plain", "output.plain[step 1]"]
    (refusal,) = open_own(tmp_path / "run").refused
    assert refusal.entry == "output.odd"
    assert word in refusal.reason


def test_tensors_that_say_how_ranks_hold_them_are_recorded_as_this_rank_has_them(tmp_path):
    Shard = namedtuple("Shard", "dim")
    Partial = namedtuple("Partial", "reduce_op")

    class Mesh:
        mesh_dim_names = ("dp", "tp")

        def get_coordinate(self):
            return [0, 3]

    class Distributed(torch.Tensor):
        placements = (Shard(1), Partial("sum"))
        device_mesh = Mesh()

        def detach(self):
            return self

        def to_local(self):
            return torch.arange(3.0)

    class Sharded(nn.Module):
        def forward(self, values):
            return torch.zeros(6).as_subclass(Distributed)

    with record(model := Sharded(), tmp_path / "run", rank=3, world_size=4):
        model(torch.ones(1))
    (found,) = open_own(tmp_path / "run").records
    assert found.placement == "Shard(1), Partial(sum)"
    assert dict(found.mesh) == {"dp": 0, "tp": 3}
    assert found.rank == 3
    assert found.read().tolist() == [0, 1, 2]
    assert (tmp_path / "run" / "index-00003.jsonl").exists()


def test_ranks_of_one_run_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        with record(model := nn.Identity(), tmp_path / "run", mesh={"tp": rank}):
            model(torch.full((2,), rank))
    found = open_own(tmp_path / "run").records
    assert [(item.rank, dict(item.mesh), item.read().tolist()) for item in found] == [
        (0, {"tp": 0}, [0, 0]), (1, {"tp": 1}, [1, 1]),
    ]  # fmt: skip
    with (
        pytest.raises(InputError, match="a recording of another run"),
        record(model, tmp_path / "run", rank=2, world_size=4),
    ):
        pass


def test_counts_of_nan_and_infinities(tmp_path):
    values = torch.tensor([1.0, float("nan"), float("inf"), float("-inf"), float("nan"), 0.0])
    with record(model := nn.Identity(), tmp_path / "run"):
        model(values)
    (found,) = open_own(tmp_path / "run").records
    assert (found.nan_count, found.inf_count) == (2, 2)
