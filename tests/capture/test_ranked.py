"""Tensors that several ranks hold, recorded by the one process that sees them all."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from outgrow.capture import open_own, record
from outgrow.capture.ranked import rank_pieces
from outgrow.compare import compare


class Cut(Tensor):
    """A tensor that says it is held in two halves."""

    dim = 0
    wrong = 0.0

    def rank_pieces(self) -> Sequence[tuple[int, str, Tensor]]:
        plain = self.detach().as_subclass(Tensor).clone()
        if plain.shape[self.dim] % 2:
            return [(rank, "Replicate()", plain) for rank in range(2)]
        first, second = plain.chunk(2, self.dim)
        return [(0, f"Shard({self.dim})", first), (1, f"Shard({self.dim})", second + self.wrong)]


class OneRank(Tensor):
    """A tensor that a single rank holds."""

    def rank_pieces(self) -> Sequence[tuple[int, str, Tensor]]:
        return [(0, "Replicate()", self.detach().as_subclass(Tensor))]


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def recorded(tmp_path: Path, name: str, kind: type[Tensor]) -> Path:
    model = small_model()
    torch.manual_seed(1)
    with record(model, tmp_path / name), torch.no_grad():
        model(torch.randn(4, 6).as_subclass(kind))
    return tmp_path / name


def test_every_rank_has_its_piece_with_its_placement(tmp_path: Path) -> None:
    with open_own(recorded(tmp_path, "cut", Cut)) as recording:
        first = [record for record in recording.records if record.module == "0"]
        assert [(record.rank, record.shape, record.placement) for record in first] == [
            (0, (2, 8), "Shard(0)"),
            (1, (2, 8), "Shard(0)"),
        ]
        assert {record.name for record in first} == {first[0].name}


@pytest.mark.parametrize("dim", [0, 1])
def test_pieces_compare_equal_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int) -> None:
    monkeypatch.setattr(Cut, "dim", dim)
    plain, cut = recorded(tmp_path, "plain", Tensor), recorded(tmp_path, "cut", Cut)
    with compare(expected=plain, actual=cut) as comparison:
        assert comparison.verdict == "match"
        assert len(comparison.findings) == 4


def test_a_fault_in_one_piece_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = recorded(tmp_path, "plain", Tensor)
    monkeypatch.setattr(Cut, "wrong", 0.5)
    with compare(expected=plain, actual=recorded(tmp_path, "cut", Cut)) as comparison:
        assert comparison.verdict == "differ"


def test_what_one_rank_has_alone_is_recorded_as_any_tensor(tmp_path: Path) -> None:
    with open_own(recorded(tmp_path, "one", OneRank)) as recording:
        assert {record.placement for record in recording.records} == {None}
        assert {record.rank for record in recording.records} == {0}


def test_a_plain_tensor_is_its_own_only_piece() -> None:
    tensor = torch.ones(2)
    (piece,) = rank_pieces(tensor)
    assert piece.tensor is tensor
    assert piece.rank is None
