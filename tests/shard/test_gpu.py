"""Workers with GPUs: what they give, and where they keep it."""

import copy

import pytest
import torch
from torch import nn

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.local import start_local

pytestmark = pytest.mark.gpu


@pytest.fixture(params=[1, 2])
def session(request):
    """As many workers as GPUs at most: NCCL wants one for each rank."""
    if request.param > torch.cuda.device_count():
        pytest.skip(f"{request.param} GPUs are needed")
    session = Session(start_local(request.param))
    with use_session(session):
        yield session
    session.link.close()


def losses_of(model, device, steps=12):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batches = torch.randn(steps, 8, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for batch in batches:
        batch = batch.to(device)
        loss = (model(batch) - batch[:, :4]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_training_gives_what_one_process_gives(session):
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 4)).double()
    there = copy.deepcopy(here).to("workers")
    assert losses_of(there, "workers") == pytest.approx(losses_of(here, "cpu"), rel=1e-10)


def test_dropout_draws_the_numbers_of_one_process(session):
    def dropped(device):
        torch.manual_seed(3)
        return torch.nn.functional.dropout(torch.ones(64, device=device)).cpu()

    assert torch.equal(dropped("workers"), dropped("cpu"))


def test_values_are_held_by_the_gpus(session):
    before = torch.cuda.mem_get_info()[0]
    held = torch.zeros(2**26, device="workers") + 1
    assert held[:4].cpu().tolist() == [1.0] * 4
    assert before - torch.cuda.mem_get_info()[0] > 2**26  # a quarter of it: two ranks may share one GPU
