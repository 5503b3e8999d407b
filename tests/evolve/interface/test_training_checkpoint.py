import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.interface.training_checkpoint import TrainingCheckpoint


def begun():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


def test_a_change_that_only_training_made_exact_is_made_again(tmp_path):
    model, optimizer = begun()
    rows = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    model(rows).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        model[2].weight[:, 1] = 0  # a unit that training has switched off
    edit = evolve.prune(model, "0", indices=[1], example_inputs=rows, optimizer=optimizer, allow="exact")
    assert edit.promise == "exact"
    TrainingCheckpoint.take(
        model, optimizer, None, edits=[edit], epoch=1, history={}, inputs={"args": [rows], "kwargs": {}}
    ).write(tmp_path / "best.pt")
    again, its_optimizer = begun()
    TrainingCheckpoint.read(tmp_path / "best.pt").restore(again, its_optimizer, None)
    assert torch.equal(again(rows), model(rows))
    moments, its_moments = (one.state_dict()["state"] for one in (optimizer, its_optimizer))
    assert moments.keys() == its_moments.keys()
    assert all(torch.equal(moments[key]["exp_avg"], its_moments[key]["exp_avg"]) for key in moments)
