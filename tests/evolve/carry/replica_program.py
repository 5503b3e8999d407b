"""What each of two ranks does; run by test_replicas.py."""

import sys

import pytest
import torch
import torch.distributed as dist  # noqa: TID251 - a user's program
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook  # noqa: TID251
from torch.nn.parallel import DistributedDataParallel

from outgrow import evolve
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.replicas import ReplicasDiffer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


def batch(rank: int, step: int) -> Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(100 * rank + step))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range, ranks: tuple[int, ...]) -> None:
    for step in steps:
        optimizer.zero_grad()
        losses = [(model(batch(rank, step)) - batch(rank, step).flip(1)).square().mean() for rank in ranks]
        (sum(losses) / len(losses)).backward()
        optimizer.step()


def assert_near(model: nn.Module, other: nn.Module) -> None:
    for mine, own in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, own, rtol=1e-5, atol=1e-6)


def counted(calls: list[int], bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    calls.append(1)
    return allreduce_hook(None, bucket)


def main(rank: int, file: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    # A group of its own: the default one must not take its place.
    model = DistributedDataParallel(Net(), process_group=dist.new_group([0, 1]))
    alone, calls = Net(), list[int]()
    model.register_comm_hook(calls, counted)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    single = torch.optim.AdamW(alone.parameters(), lr=0.01)
    inputs = batch(rank, 1000)  # each rank its own

    def both(steps: range) -> None:
        calls.clear()
        train(model, optimizer, steps, (rank,))
        assert len(calls) == len(steps)
        train(alone, single, steps, (0, 1))
        assert_near(model.module, alone)

    both(range(3))
    # Looking does not loosen the reducer.
    (site,) = evolve.sites(model, inputs)
    both(range(3, 6))

    group, size = model.process_group, alone.first.out_features + 2
    evolve.widen(model, site, by=2, optimizer=optimizer, seed=5)
    evolve.widen(alone, site, by=2, optimizer=single, seed=5)
    assert model.process_group is group
    assert model.module.first.out_features == size
    both(range(6, 10))

    # Another seed on each rank: refused on both, and training goes on.
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(ReplicasDiffer, match="different changes"):
        evolve.widen(model, site, by=2, optimizer=optimizer, seed=rank)
    assert all(map(torch.equal, before, model.parameters()))
    both(range(10, 13))

    # A failure on one rank is a failure on both.
    real = Followers.follow
    if rank == 1:

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        Followers.follow = interrupted
    with pytest.raises(
        KeyboardInterrupt if rank else ReplicasDiffer, match="" if rank else "failed on rank 1"
    ):
        evolve.widen(model, site, by=2, optimizer=optimizer, seed=7)
    Followers.follow = real
    both(range(13, 16))

    with evolve.transaction(model, optimizer=optimizer) as change:
        evolve.widen(model, site, by=2, optimizer=optimizer, seed=7)
        train(model, optimizer, range(16, 18), (rank,))
        change.rollback()
    both(range(16, 20))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
