"""What stands for a storage where a program only asks which tensors share one, and how large it is."""

__all__ = ["CellStorage", "address"]

import torch

from outgrow.shard.client.values import Cell


def address(cell: Cell) -> int:
    """A number that tensors of one storage share and that differs between storages; no memory is there."""
    return id(cell) << 12


class CellStorage:
    """The storage of a tensor on workers. It gives no bytes: `tensor.cpu().untyped_storage()` does."""

    def __init__(self, cell: Cell, device: torch.device) -> None:
        self._cell = cell
        self.device = device

    def data_ptr(self) -> int:
        """See `address`."""
        return address(self._cell)

    @property
    def _cdata(self) -> int:
        return address(self._cell)

    def nbytes(self) -> int:
        """Bytes of the whole storage."""
        return self._cell.form.meta.nbytes

    size = nbytes

    def __len__(self) -> int:
        return self.nbytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CellStorage) and other._cell is self._cell

    def __hash__(self) -> int:
        return hash(address(self._cell))
