"""Which tensors of the two runs answer each other."""

__all__ = ["FusedPart", "Lone", "Pair", "Pairing"]

from dataclasses import dataclass
from typing import Literal

from outgrow.capture.recording import Record, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedPart:
    """Where one tensor of a pair is only a part of the stored one: query in a fused QKV, gate in gate-up."""

    side: Literal["expected", "actual"]
    """Which side of the pair holds several parts in one tensor."""
    parts: tuple[str, ...]
    """The roles in it, in the usual order: `("query", "key", "value")`, `("gate", "up")`."""
    index: int
    """Which of them this pair is about."""
    group: str
    """Equal for the pairs that share the fused tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One tensor of the expected run, and what answers it in the actual one."""

    expected: Record
    """The fused one where `fused.side` is `expected`."""
    actual: tuple[Record, ...]
    """One for each rank of the actual run, in the order in which they were given; at least one."""
    stage: str
    """The role as outgrow calls it (`query`, `mlp.up`, `norm.final`), or the expected name without layer
    numbers: tensors of one stage have one layout in all layers."""
    layer: int | None
    """Layer number in the expected run."""
    how: Literal["identical", "shifted", "role", "map", "single"]
    """On which evidence: the names are equal; equal but for layer numbers; they mean the same; the user's map
    says so; both sides have just this one."""
    fused: FusedPart | None = None
    note: str | None = None
    """What was assumed and could be wrong, for the reader."""
    layout_hint: str | None = None
    """How the user's map says that the actual tensor has to be put: `permute(1, 0, 2)`. Not checked here."""

    @property
    def expected_name(self) -> str:
        """As reports show it; a part of a fused tensor as `name[query]`."""
        return _named(self.expected.name, self.fused, "expected")

    @property
    def actual_name(self) -> str:
        """As reports show it; a part of a fused tensor as `name[query]`."""
        return _named(self.actual[0].name, self.fused, "actual")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lone:
    """What was not paired, and where among the pairs it would stand."""

    expected: Record | Refusal | None
    """What the expected run has; None where only the other one has it."""
    actual: Record | Refusal | None
    """What the actual run has. Both sides are given only where both refuse the same."""
    stage: str
    """As `Pair.stage`."""
    layer: int | None
    """As `Pair.layer`: counted as in the expected run."""
    after: int
    """Index of the pair behind which it stands; -1 for the front of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """All pairs of two runs."""

    pairs: tuple[Pair, ...]
    """In the order of execution of the expected run."""
    unpaired_expected: tuple[Record, ...]
    unpaired_actual: tuple[Record, ...]
    near: dict[str, tuple[str, ...]]
    """For the name of an unpaired tensor those on the other side that look most like it."""
    notes: tuple[str, ...] = ()
    """What was assumed for all pairs, for example that layers 3..6 answer 0..3."""
    lone: tuple[Lone, ...] = ()
    """All that is unpaired, and all that was refused, in the order of `Lone.after` and of execution."""


def _named(name: str, fused: FusedPart | None, side: str) -> str:
    return f"{name}[{fused.parts[fused.index]}]" if fused is not None and fused.side == side else name
