"""What probably happened, only where there is evidence."""

__all__ = ["Diagnosis"]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One finding about one tensor."""

    at: str
    """Name of the expected tensor."""
    kind: str
    """Key of `DIAGNOSERS`."""
    detail: str
    """A sentence with the evidence in figures."""
