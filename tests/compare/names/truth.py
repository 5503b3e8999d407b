"""What the parts of real models are, written down by hand and apart from the registry under test.

In a layer by what stands behind its number, outside by the whole name without `model.` and the like. Parts
that are held in one tensor are a tuple. Modules without an entry are containers and activations that have no
counterpart elsewhere, and are left out.
"""

from dataclasses import dataclass

from tests.compare.names import real_names
from tests.compare.names.transformers_parts import REAL, Part
from tests.compare.names.written_parts import WRITTEN

_TOWERS = ("t5", "bert", "roberta")
_STEMS = ("model.", "transformer.", "gpt_neox.", "bert.", "roberta.", "distilbert.")
_LAYERS = (
    "encoder.layer.",
    "transformer.layer.",
    "encoder.block.",
    "decoder.block.",
    "layers.",
    "h.",
    "blocks.",
)


@dataclass(frozen=True, slots=True)
class Known:
    """A name of a model, and what it is."""

    name: str
    module: str
    part: Part
    place: str
    """The tower and the layer."""

    @property
    def identity(self) -> tuple[str, Part]:
        return self.place, self.part


def modules_of(family: str) -> list[Known]:
    """All modules of a model with two layers that have an entry."""
    if family in WRITTEN:
        pattern, inside, around = WRITTEN[family]
        found = [
            Known(name, name, part, "decoder" if "decoder" in name else "") for name, part in around.items()
        ]
        for layer in range(2):
            front = pattern.format(layer)
            place = f"decoder{layer}" if "decoder" in front else str(layer)
            found += [
                Known(f"{front}.{name}" if name else front, f"{front}.{name}" if name else front, part, place)
                for name, part in inside.items()
            ]
        return found
    found = []
    for name in _real()[family]["modules"]:
        known = _look_up(family, name)
        if known is not None:
            found.append(known)
    return found


def parameters_of(family: str) -> list[Known]:
    """All parameters of the modules that have an entry; of what is written out the weights."""
    if family in WRITTEN:
        leaves = ("layer", "attn", "mlp", "act", "attn.core", "experts")
        return [
            Known(f"{known.name}.weight", known.module, known.part, known.place)
            for known in modules_of(family)
            if known.part not in leaves
        ]
    found = []
    for name in _real()[family]["parameters"]:
        whole = _look_up(family, name)
        module, _, leaf = name.rpartition(".")
        known = whole or _look_up(family, module)
        if known is not None:
            part = known.part if leaf == "weight" or whole else _with_leaf(known.part, leaf)
            found.append(Known(name, module, part, known.place))
    return found


def families() -> list[str]:
    return [*REAL, *WRITTEN]


def _with_leaf(part: Part, leaf: str) -> Part:
    return f"{part}.{leaf}" if isinstance(part, str) else tuple(f"{one}.{leaf}" for one in part)


def _look_up(family: str, name: str) -> Known | None:
    short = name
    for stem in _STEMS:
        if not short.startswith("transformer.layer."):
            short = short.removeprefix(stem)
    for container in _LAYERS:
        if short.startswith(container):
            number, _, rest = short.removeprefix(container).partition(".")
            if not number.isdigit():
                return None
            tower = container.split(".")[0] if family in _TOWERS else ""
            table = REAL[family]
            part = table.get(f"{tower}:{rest}", table.get(rest))
            return None if part is None else Known(name, name, part, f"{tower}{number}")
    tower = ""
    if family in _TOWERS and short.startswith(("encoder.", "decoder.")):
        tower, _, short = short.partition(".")
    part = REAL[family].get(short) if short else None
    return None if part is None else Known(name, name, part, tower)


def _real() -> dict[str, dict[str, list[str]]]:
    return real_names.read()
