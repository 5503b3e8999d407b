"""What this machine has, how fast it is, and memory to stage bytes in."""

__all__ = [
    "BandwidthSample",
    "Inventory",
    "MemoryGauge",
    "MemoryState",
    "Slab",
    "memory_state",
    "probe_copy_bandwidth",
    "probe_read_bandwidth",
    "supports_direct_reads",
    "take_inventory",
]

from outgrow.devices.inventory import Inventory, take_inventory
from outgrow.devices.measure import (
    BandwidthSample,
    probe_copy_bandwidth,
    probe_read_bandwidth,
    supports_direct_reads,
)
from outgrow.devices.memory import MemoryGauge, MemoryState, memory_state
from outgrow.devices.staging import Slab
