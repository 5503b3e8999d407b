"""How wide each layer was over a run: a lane for each, from a log. Pure."""

__all__ = ["Lane", "lanes_of"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One layer over time."""

    name: str
    """Its last name."""
    kind: str
    """Its class."""
    spans: tuple[tuple[float, int], ...]
    """FLOPs from which on it had which width, in order; 0 where it was not there."""

    @property
    def most(self) -> int:
        """The largest width that it had."""
        return max(width for _, width in self.spans)

    @property
    def first(self) -> int:
        """The width that it began with."""
        return next(width for _, width in self.spans if width)

    @property
    def last(self) -> int:
        """The width that it has in the end; 0 where it is gone."""
        return self.spans[-1][1]

    def width_at(self, flops: float) -> int:
        """How wide it was then."""
        return next((width for begin, width in reversed(self.spans) if begin <= flops), 0)


def lanes_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Lane, ...]:
    """The lanes of a run's log, in the order in which the layers stand in the model.

    A layer that is put into a container of its own old name, because another one is inserted beside it, stays
    in its lane.
    """
    order: list[int] = []
    names: dict[Any, int] = {}
    gone: dict[Any, int] = {}
    kinds: list[str] = []
    last_names: list[str] = []
    spans: list[list[tuple[float, int]]] = []
    for entry in entries:
        layers, flops = entry["layers"], float(entry["flops"])
        present = {_key(layer) for layer in layers}
        moved = {name: lane for name, lane in names.items() if name not in present}
        now: dict[Any, int] = {}
        before = -1
        for layer in layers:
            key, name, width = _key(layer), layer["name"], int(layer["width"])
            lane = names.get(key)
            if lane is None:
                old = next((one for one in moved if _is_inside(name, one, kinds[moved[one]], layer)), None)
                lane = moved.pop(old) if old is not None else gone.pop(key, None)
            if lane is None:
                lane = len(spans)
                spans.append([])
                kinds.append(layer["kind"])
                last_names.append(name)
                order.insert(order.index(before) + 1 if before >= 0 else 0, lane)
            now[key] = before = lane
            last_names[lane] = name
            if not spans[lane] or spans[lane][-1][1] != width:
                spans[lane].append((flops, width))
        for key, lane in moved.items():
            gone[key] = lane
            spans[lane].append((flops, 0))
        names = now
    return tuple(Lane(name=last_names[lane], kind=kinds[lane], spans=tuple(spans[lane])) for lane in order)


def _key(layer: Mapping[str, Any]) -> Any:
    """What a layer is known by: its number, which stays, else its name."""
    return layer.get("number", layer["name"])


def _is_inside(name: str, container: Any, kind: str, layer: Mapping[str, Any]) -> bool:
    return bool(layer["kind"] == kind and isinstance(container, str) and name.startswith(f"{container}."))
