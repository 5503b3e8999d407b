"""What was changed: enough to do it again elsewhere."""

__all__ = ["Edit"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of a model's architecture."""

    operator: str
    """`widen`, `prune`, ..."""
    site: str
    """Qualified name of the site."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The operator's arguments, as JSON can hold them, the seed included."""
    promise: str
    """`exact`, `bounded` or `lossy`."""
    change: float
    """The relative change of the outputs that was measured when it was made."""
