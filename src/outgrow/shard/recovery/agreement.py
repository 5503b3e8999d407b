"""Ranks that share no memory agree on failures through the store in which they met."""

__all__ = ["GangBroken", "StoreBoard"]

from typing import Any

from outgrow.errors import RemoteError


class GangBroken(RemoteError):
    """Another rank is gone, or does something else than this one: this one cannot go on, and is started
    anew."""


class StoreBoard:
    """Where each rank's failures were, for all to see. A store lives as long as its gang."""

    def __init__(self, store: Any, world_size: int, rank: int) -> None:
        self.world_size = world_size
        self._store = store
        self._rank = rank
        self._count = 0

    def fail(self, seq: int, step: int | None) -> int:
        """An op has failed here; returns which failure of this rank it is, from 1."""
        self._count += 1
        self._store.set(self._key(self._rank, self._count), _text(seq, step))
        return self._count

    def has_agreed(self, count: int, seq: int, step: int | None) -> bool:
        """Whether every rank's failure number `count` was here."""
        keys = [self._key(rank, count) for rank in range(self.world_size)]
        if not self._store.check(keys):
            return False
        return all(bytes(self._store.get(key)).decode() == _text(seq, step) for key in keys)

    def _key(self, rank: int, count: int) -> str:
        return f"outgrow-failure-{rank}-{count}"


def _text(seq: int, step: int | None) -> str:
    return f"{seq}:{step}"
