"""The systems that are measured, by name."""

__all__ = ["PEERS", "SYSTEMS"]

from bench.systems.accelerate_disk import AccelerateDisk
from bench.systems.airllm import AirLLM
from bench.systems.mmap import Mmap
from bench.systems.outgrow import Outgrow
from bench.systems.resident import Resident
from bench.systems.system import System
from bench.systems.transformers_disk import TransformersDisk

SYSTEMS: dict[str, type[System]] = {
    "resident": Resident,
    "outgrow": Outgrow,
    "mmap": Mmap,
    "transformers": TransformersDisk,
    "accelerate": AccelerateDisk,
    "airllm": AirLLM,
}

PEERS = ("mmap", "transformers", "accelerate", "airllm")
"""What runs a model larger than memory without outgrow."""
