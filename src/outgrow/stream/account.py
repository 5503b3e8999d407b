"""Who holds how much memory for weights, now and at most."""

__all__ = ["Account"]


class Account:
    """Bytes by purpose: `resident`, `window`, `staging`. Tests hold their sum against the budget."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        """Bytes now, by purpose."""
        self.peak_bytes = 0
        """Most bytes at any time, all purposes together."""

    @property
    def held_bytes(self) -> int:
        """Bytes now, all purposes together."""
        return sum(self.held.values())

    def set(self, purpose: str, nbytes: int) -> None:
        """`purpose` holds `nbytes` from now on."""
        self.held[purpose] = nbytes
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)

    def give_back(self, purpose: str) -> None:
        """`purpose` holds nothing any more."""
        self.held.pop(purpose, None)
