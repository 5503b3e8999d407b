"""What was found out about pairs, so that nobody finds it out twice."""

__all__ = ["Memory", "key_of"]

from collections.abc import Callable
from typing import TypeVar, cast

from outgrow.compare.pair import Pair

Made = TypeVar("Made")


class Memory:
    """Shared by comparisons of the same open recordings. Several threads may use it: at worst two of them
    find out the same."""

    def __init__(self) -> None:
        self._known: dict[object, object] = {}

    def recall(self, key: object, find: Callable[[], Made]) -> Made:
        """What `find` returned when this key was first asked for. What it raises is not remembered."""
        if key not in self._known:
            self._known[key] = find()
        return cast("Made", self._known[key])

    def has(self, key: object) -> bool:
        """Whether nothing has to be found out for it."""
        return key in self._known


def key_of(pair: Pair) -> tuple[object, ...]:
    """Equal for pairs of the same records as the same part of the model, however they came to be paired.

    Records are told apart as objects: two of them may have equal names and sizes. Their recordings keep them
    for as long as anybody can ask.
    """
    return id(pair.expected), tuple(map(id, pair.actual)), pair.fused, pair.stage, pair.expected_name
