"""What a run says of the dims of weights and results, as text that a test can spell out.

A dim is a letter and a size; the same letter is the same extent. `a2*b3` is a product (major to minor),
`a2+b3` one part behind the other. In round brackets stands why a size cannot change, after `~` which
statistic is computed along it. A dim in which no weight has a part has no letter.
"""

from collections.abc import Callable
from itertools import chain, groupby

import torch
from torch import Tensor, nn

from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace, Use

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Formula(nn.Module):
    """A layer of a function: its parameters have the shapes that are given."""

    def __init__(self, formula: Callable[..., object], shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self._formula = formula
        generator = torch.Generator().manual_seed(0)
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.rand(shape, generator=generator)))

    def forward(self, *args: object) -> object:
        return self._formula(self, *args)


class Text:
    """Extents as text; leaves have the letters that they are given."""

    def __init__(self, letters: dict[int, str]) -> None:
        self._letters = letters

    def extent(self, extent: Extent) -> str:
        """One dim."""
        found = extent.find()
        if found.shape != "leaf":
            sign = "*" if found.shape == "product" else "+"
            return sign.join(self._part(part) for part in found.parts)
        statistics = sorted(f"{one.module}.{one.op}" for one in found.reduced_by)
        why = "" if found.frozen is None else f"({found.frozen})"
        return "".join(
            [self._letters.get(id(found), ""), str(found.size), why, *(f"~{one}" for one in statistics)]
        )

    def _part(self, part: Extent) -> str:
        text = self.extent(part)
        return text if part.find().shape == "leaf" else f"[{text}]"

    def dims(self, extents: tuple[Extent, ...]) -> str:
        """Several dims."""
        return " ".join(self.extent(extent) for extent in extents)

    def labels(self, labels: Labels) -> str:
        """Several dims, and of which weight they are a view."""
        if labels.weight is None:
            return self.dims(labels.extents)
        return f"{self.dims(labels.extents)} = {labels.weight.removeprefix('m.')}{list(labels.dims)}"


def see(formula: Callable[..., object], *args: object, **shapes: tuple[int, ...]) -> str:
    """Run `formula(layer, *args)` in a module `m` whose parameters have these shapes, and say what was seen.

    First each weight, then each result (and of which weight it is a view), the uses, the counts, and the
    weights of which nothing is known.
    """
    model = nn.ModuleDict({"m": Formula(formula, shapes)})
    model.forward = model["m"].__call__
    trace = Trace(model)
    given = trace.run(model, args, {})
    return seen(trace, [given] if isinstance(given, Tensor) else list(given))


def seen(trace: Trace, results: list[Tensor]) -> str:
    """What a trace knows of its weights and of these tensors."""
    letters: dict[int, str] = {}
    weights = {name.removeprefix("m."): labels for name, labels in trace.weights.items()}
    for labels in weights.values():
        for leaf in chain.from_iterable(extent.leaves() for extent in labels.extents):
            letters.setdefault(id(leaf), _LETTERS[len(letters)])
    text = Text(letters)
    uses: list[str] = []
    for name, together in groupby(trace.uses, key=lambda use: use.weight):
        own = name.removeprefix("m.")
        for role, same in groupby(together, key=lambda use: use.role):
            dims = ", ".join(_use(use, weights[own], text) for use in same)
            uses.append(f"{own}[{dims}] {role}")
    counts = [f"{one.module}.{one.attribute} {text.extent(one.extent)}" for one in trace.counts]
    reached = sorted(name.removeprefix("m.") for name in trace.reached)
    parts = [
        *(f"{name}: {text.dims(labels.extents)}" for name, labels in weights.items()),
        *(f"-> {text.labels(trace.labels(tensor))}" for tensor in results),
        *(f"{title}: {', '.join(each)}" for title, each in _titled(uses, counts, reached) if each),
    ]
    return " | ".join(parts)


def _use(use: Use, labels: Labels, text: Text) -> str:
    """The dim; the extent, too, where it is not the whole of it."""
    part = text.extent(use.extent)
    whole = use.dim is not None and text.extent(labels.extents[use.dim]) == part
    return f"{use.dim}" if whole else f"{use.dim}: {part}"


def _titled(uses: list[str], counts: list[str], reached: list[str]) -> list[tuple[str, list[str]]]:
    return [("uses", uses), ("counts", counts), ("reached", reached)]
