"""A place in a model where its architecture can change."""

__all__ = ["Coupled", "Site", "SizeAttribute"]

from dataclasses import dataclass, field

from outgrow.evolve.example_inputs import ExampleInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupled:
    """One dim of one weight that changes with a site."""

    weight: str
    """Qualified name of the parameter or buffer."""
    dim: int
    """Which of its dims."""
    role: str
    """`in` where activations are contracted with it, `out` else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeAttribute:
    """A number that a module keeps beside its weights and computes with: `num_heads`, `split_size`."""

    module: str
    """Qualified name of the module; empty for the model itself."""
    path: str
    """Where the number is: `num_heads`, `sizes[1]`, `config.hidden_size`."""
    units: int
    """How much it grows with each unit of the site."""
    constant: int
    """What it is without any unit: the number is always `units * (units of the site) + constant`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place where one operator can change a model, and what would change with it."""

    name: str
    """The qualified name of the first module that makes what is counted here."""
    kind: str
    """The operator that fits: `widen`, `deepen`, ..."""
    width: int
    """How many channels of `name`'s output there are, all units together."""
    step: int
    """The fewest channels by which it can change: those of one unit, or the whole width where it can only be
    repeated whole (what a LayerNorm looks at)."""
    methods: tuple[str, ...]
    """How it can grow without moving the outputs, the default first: `split`, `zero_outgoing`, ..."""
    coupled: tuple[Coupled, ...] = ()
    """Every dim of every weight that changes with it."""
    also: tuple[str, ...] = ()
    """Qualified names of other modules that make the same channels: they name this site, too."""
    units: int = 0
    """How many units there are: neurons, channels, heads, groups of heads; by default `width / step`."""
    attributes: tuple[SizeAttribute, ...] = ()
    """Numbers in modules that have to change with it; found by trying."""
    inputs: ExampleInputs | None = field(default=None, repr=False, compare=False)
    """What the model was called with when the site was found."""

    def __post_init__(self) -> None:
        if not self.units:
            object.__setattr__(self, "units", self.width // self.step)

    @property
    def unit_width(self) -> int:
        """Channels of one unit."""
        return self.width // self.units
