"""Instructions that were gathered and not sent yet, in the form in which two equal stretches are equal."""

__all__ = ["Body", "Stretch"]

from outgrow.shard.client.sources import Place

Body = tuple[tuple[int, tuple[int, ...]], ...]
"""`(template, local numbers of the inputs)` of each instruction."""


class Stretch:
    """Compared with what is expected while it grows, so that a step that repeats is known at its end."""

    __slots__ = ("body", "expected", "floats", "given", "is_expected", "made", "places")

    def __init__(self, expected: Body = ()) -> None:
        self.expected = expected
        self.is_expected = bool(expected)
        """So far."""
        self.body: list[tuple[int, tuple[int, ...]]] = []
        self.floats: list[float] = []
        self.places: list[Place | None] = []
        """Of each instruction, where it was asked for."""
        self.made: dict[int, int] = {}
        """From a value's number to its local one, in the order in which they are made."""
        self.given: dict[int, int] = {}
        """From a value's number to its local one, negative, in the order of first use."""
