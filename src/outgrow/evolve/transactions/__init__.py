"""Going back: snapshots, forks and transactions, bit for bit."""

__all__: list[str] = []
