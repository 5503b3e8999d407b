"""What a user can choose about streaming. Every choice changes speed or memory, none a result."""

__all__ = ["BackendType", "Config", "MemoryPressureMode", "PrefetchStrategy", "create_default_config"]

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from outgrow.errors import InputError, nearest_names
from outgrow.quantities import parse_bytes


class BackendType(enum.Enum):
    """Where weights are while a module computes, and how they come there."""

    AUTO = "auto"
    """By the device that computes: MMAP on the CPU, CUDA on a GPU, GPUDIRECT where a probe shows it
    faster."""
    GPUDIRECT = "gpudirect"
    """From the disk straight into the GPU's memory, through kvikio and cuFile. Never run on a GPU yet."""
    CUDA = "cuda"
    """From the disk to pinned memory, from there on a stream of its own to the GPU. Never run on a GPU
    yet."""
    MMAP = "mmap"
    """In main memory, for models that compute on the CPU: files are read straight into the window."""


class PrefetchStrategy(enum.Enum):
    """How far ahead of their use weights are fetched."""

    NONE = "none"
    """Not at all: each module waits for its weights. For measuring, and for disks that others need."""
    NEXT_LAYER = "next_layer"
    """One module ahead, in the order of the last pass."""
    ADAPTIVE = "adaptive"
    """As far as the window reaches, past the end of the pass into the next; the window grows while that saves
    time."""


class MemoryPressureMode(enum.Enum):
    """What happens when the machine or the container runs short of memory."""

    CONSERVATIVE = "conservative"
    """Nothing changes while the model runs: the window never grows, nothing is given back."""
    BALANCED = "balanced"
    """The window may grow inside the budget; under pressure it shrinks to the least that works."""
    AGGRESSIVE = "aggressive"
    """Under pressure also resident weights are given back, down to the least budget; they return when it is
    over."""


_Choice = TypeVar("_Choice", bound=enum.Enum)


@dataclass(slots=True)
class Config:
    """How to stream a model. Enumerated options are taken as members or as their text.

    Raises:
        InputError: an option has a value that cannot be.
    """

    storage_path: str | Path | None = None
    """Directory for the weights of a model that is in memory (`offload`); made with mode 0700. None for
    `load`, which reads the checkpoint where it is."""
    vram_budget_gb: float | None = None
    """Budget in units of 2^30 bytes. None: `budget`, or half of the memory that is free."""
    backend: BackendType | str = BackendType.AUTO
    """Where weights are while they compute."""
    prefetch_strategy: PrefetchStrategy | str = PrefetchStrategy.ADAPTIVE
    """How far ahead weights are fetched."""
    compression_enabled: bool = False
    """Whether `offload` stores weights through a lossless codec (extra `codec`). Worth it on a disk below
    about 1 GB/s."""
    compression_level: int = 6
    """1 (fast) to 9 (small)."""
    num_io_threads: int = 4
    """Threads that read. Each also needs staging memory where reads cannot go straight to their place."""
    memory_pressure_mode: MemoryPressureMode | str = MemoryPressureMode.BALANCED
    """What happens when memory runs short."""
    debug_mode: bool = False
    """Whether to check the machine's invariants after every pass, and to log every change of plan."""
    budget: int | str | None = None
    """Budget in bytes or as text (`27MB`, `4GiB`); not together with `vram_budget_gb`."""
    keep_resident: Sequence[str] = ()
    """Globs over qualified names of weights that must stay in memory."""
    reader: str = "auto"
    """How files are read: `direct`, `buffered`, `mmap`; `auto` is `direct` where the file system allows
    it."""

    def __post_init__(self) -> None:
        self.backend = _member(BackendType, self.backend, "backend")
        self.prefetch_strategy = _member(PrefetchStrategy, self.prefetch_strategy, "prefetch_strategy")
        self.memory_pressure_mode = _member(
            MemoryPressureMode, self.memory_pressure_mode, "memory_pressure_mode"
        )
        if self.storage_path is not None:
            given: object = self.storage_path
            if not isinstance(given, str | Path) or not str(given):
                raise InputError(
                    f"storage_path must be a path, not {given!r}",
                    hint="give the path of a directory as text or a Path",
                )
            self.storage_path = Path(self.storage_path).expanduser()
        # One glob by itself is a sequence of letters, and surely not meant as that.
        patterns = (self.keep_resident,) if isinstance(self.keep_resident, str) else tuple(self.keep_resident)
        self.keep_resident = patterns
        _check_integer("num_io_threads", self.num_io_threads, 1, 64)
        _check_integer("compression_level", self.compression_level, 1, 9)
        for name in ("compression_enabled", "debug_mode"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(
                    f"{name} must be True or False, not {getattr(self, name)!r}",
                    hint="write it without quotes: True or False",
                )
        if self.vram_budget_gb is not None and self.budget is not None:
            raise InputError("both vram_budget_gb and budget are given", hint="give one of them")
        self.budget_bytes()

    def budget_bytes(self) -> int | None:
        """The budget in bytes; None where none was given.

        Raises:
            InputError: it is not a size above zero.
        """
        if self.budget is not None:
            nbytes = parse_bytes(self.budget)
        elif self.vram_budget_gb is not None:
            if isinstance(self.vram_budget_gb, bool) or not isinstance(self.vram_budget_gb, int | float):
                raise InputError(
                    f"vram_budget_gb must be a number of GiB, not {self.vram_budget_gb!r}",
                    hint="write 0.5 for 512 MiB; text such as '512MiB' goes to budget",
                )
            if not 0 < self.vram_budget_gb < 2**33:
                raise InputError(
                    f"vram_budget_gb must be above zero and below 2^33, not {self.vram_budget_gb!r}",
                    hint="it counts units of 2^30 bytes; 0.5 is 512 MiB",
                )
            nbytes = int(self.vram_budget_gb * 2**30)
        else:
            return None
        if nbytes <= 0:
            raise InputError("a budget must be above zero", hint="write a size such as 27MB or 4GiB")
        return nbytes


def create_default_config(storage_path: str | Path) -> Config:
    """A `Config` with every default, for weights stored in `storage_path`."""
    return Config(storage_path=storage_path)


def _member(kind: type[_Choice], value: Any, option: str) -> _Choice:
    if isinstance(value, kind):
        return value
    known = [str(member.value) for member in kind]
    if isinstance(value, str) and value.lower() in known:
        return kind(value.lower())
    near = nearest_names(value.lower(), known) if isinstance(value, str) else ()
    raise InputError(f"{option} cannot be {value!r}", hint=f"choose one of {', '.join(near or known)}")


def _check_integer(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(
            f"{name} must be a whole number from {least} to {most}, not {value!r}",
            hint=f"leave {name} out for its default",
        )
