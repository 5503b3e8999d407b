"""What this machine has, how fast it is, and memory to stage bytes in."""

__all__ = ["Slab"]

from outgrow.devices.staging import Slab
