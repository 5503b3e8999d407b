"""Tensors of workers in files, in copies, in modules that move."""

import copy
import io
import pickle

import pytest
import safetensors.torch
import torch
from torch import nn

from outgrow.errors import InputError


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, tokens):
        return self.head(self.embedding(tokens)) * self.scale


def test_a_module_moves_there_and_back_and_stays_tied():
    module = Tied()
    parameter, expected = module.head.weight, module.head.weight.detach().clone()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module.to("workers")
    assert module.head.weight is module.embedding.weight is parameter
    assert isinstance(parameter, nn.Parameter)
    assert module.scale.device.type == "workers"
    module(torch.tensor([1, 2], device="workers")).sum().backward()
    optimizer.step()
    module.cpu()
    assert module.head.weight is module.embedding.weight
    assert module.head.weight.device.type == "cpu"
    assert not torch.equal(module.head.weight, expected)
    torch.testing.assert_close(module.head.weight[3], expected[3] - 0.1 * 2 * expected[[1, 2]].sum(0))


def test_a_file_of_tensors_needs_only_torch(tmp_path):
    module = Tied().to("workers")
    path = tmp_path / "state.pt"
    torch.save({"state": module.state_dict(), "parameter": module.head.weight}, path)
    assert b"outgrow" not in path.read_bytes()
    loaded = torch.load(path)
    assert type(loaded["state"]["head.weight"]) is torch.Tensor
    assert type(loaded["parameter"]) is nn.Parameter
    assert loaded["parameter"].device.type == "cpu"
    assert torch.equal(loaded["parameter"], module.head.weight.cpu())


def test_loading_onto_workers_says_how():
    file = io.BytesIO()
    torch.save(torch.ones(2), file)
    file.seek(0)
    with pytest.raises(InputError, match="map_location='cpu'"):
        torch.load(file, map_location="workers")


def test_state_is_loaded_from_the_cpu(assert_same):
    def program(device):
        module, other = Tied(), Tied()
        module.to(device).load_state_dict(other.state_dict())
        return module.head.weight, module.scale

    assert_same(program)


def test_optimizer_state_is_saved_and_loaded():
    module = nn.Linear(3, 2).to("workers")
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3, device="workers")).sum().backward()
    optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    state = torch.load(file)
    assert state["state"][0]["exp_avg"].device.type == "cpu"
    optimizer.load_state_dict(state)
    optimizer.step()
    assert optimizer.state[module.weight]["exp_avg"].device.type == "workers"


def test_safetensors_finds_ties(tmp_path):
    module = Tied().to("workers")
    with pytest.raises(RuntimeError, match="share memory"):
        safetensors.torch.save_file(module.state_dict(), tmp_path / "a.safetensors")
    safetensors.torch.save_model(module, str(tmp_path / "b.safetensors"))
    loaded = safetensors.torch.load_file(tmp_path / "b.safetensors")
    assert torch.equal(
        next(one for one in loaded.values() if one.dim() == 2), module.head.weight.detach().cpu()
    )


def test_copies_are_copies():
    module = Tied().to("workers")
    module(torch.tensor([1], device="workers")).sum().backward()
    other = copy.deepcopy(module)
    assert other.head.weight is other.embedding.weight
    assert isinstance(other.head.weight, nn.Parameter)
    assert torch.equal(other.head.weight.grad, module.head.weight.grad)
    with torch.no_grad():
        other.head.weight.zero_()
    assert module.head.weight.abs().sum().item() > 0
    shallow = copy.copy(module.head.weight)
    assert isinstance(shallow, nn.Parameter)
    with torch.no_grad():
        shallow.fill_(3.0)
    assert module.head.weight[0, 0].item() == 3.0
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(module.head.weight * 2)


def test_pickles_are_tensors_of_the_cpu():
    loaded = pickle.loads(pickle.dumps(torch.arange(4, device="workers").view(2, 2).t()))
    assert type(loaded) is torch.Tensor
    assert loaded.tolist() == [[0, 2], [1, 3]]


def test_data_of_a_parameter_can_be_replaced(assert_same):
    def program(device):
        layer = nn.Linear(2, 2).to(device)
        layer.weight.data = torch.ones(2, 2, device=device)
        layer.bias.data.zero_()
        layer.weight.data[0] = 5
        return layer(torch.ones(1, 2, device=device)), layer.weight

    assert_same(program)
    with pytest.raises(InputError, match="cannot be the data of one on workers"):
        nn.Linear(2, 2).to("workers").weight.data = torch.ones(2, 2)


def test_printing_is_as_torchs_with_the_device():
    assert repr(torch.tensor([1.0, 2.0], device="workers")) == "tensor([1., 2.], device='workers:0')"
    assert str(torch.tensor([1], device="workers", dtype=torch.int8)) == (
        "tensor([1], device='workers:0', dtype=torch.int8)"
    )
    assert repr(torch.empty(0, 2, device="workers")) == "tensor([], device='workers:0', size=(0, 2))"
    weight = nn.Parameter(torch.ones(1, device="workers"))
    assert repr(weight) == "Parameter containing:\ntensor([1.], device='workers:0', requires_grad=True)"
    assert repr(weight * 2) == "tensor([2.], device='workers:0', grad_fn=<MulBackward0>)"
    assert f"{torch.tensor(1.5, device='workers'):.2f}" == "1.50"
