"""The tape and the workers' figures."""

import pytest
import torch

import outgrow.shard as gt
from outgrow.shard.debug import tape_of

pytestmark = pytest.mark.usefixtures("session")


def test_the_tape_lists_ops_in_order(capsys):
    a = gt.ones(3, 4, requires_grad=True)
    b = gt.ones(3, 4, requires_grad=True)
    d = (a + b) * 2.0
    tape = tape_of(d)
    assert [entry["grad_fn"] for entry in tape] == ["Add", "Mul"]
    assert [entry["output_shape"] for entry in tape] == [(3, 4)] * 2
    first, second = tape
    assert len(set(first["input_ids"])) == 2
    assert second["input_ids"] == [first["output_id"]]
    assert [entry for entry in gt.debug.get_tape() if entry["output_shape"] == (3, 4)]
    gt.debug.print_tape(d)
    assert "Autograd tape (2 operations):" in capsys.readouterr().out


def test_the_tape_keeps_nothing_alive(capsys):
    a = gt.ones(3, 5, requires_grad=True)
    b = a * 2
    assert any(entry["output_shape"] == (3, 5) for entry in gt.debug.get_tape())
    del b
    assert not any(entry["output_shape"] == (3, 5) for entry in gt.debug.get_tape())
    gt.debug.print_tape(a)
    assert "empty" in capsys.readouterr().out


def test_torchs_own_tensors_have_a_tape():
    x = torch.ones(2, 2, device="workers", requires_grad=True)
    assert [entry["grad_fn"] for entry in tape_of(x.exp().sum())] == ["Exp", "Sum"]


def test_every_worker_has_figures(workers, capsys):
    gt.ones(2).sum().item()
    assert list(gt.debug.get_worker_stats()) == [str(worker) for worker in range(workers)]
    gt.debug.print_worker_stats()
    assert "Worker 0:" in capsys.readouterr().out
