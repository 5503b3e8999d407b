"""The environment variables of shard, read and checked in one place."""

__all__ = ["VARIABLES", "Environment", "Variable"]

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outgrow.errors import InputError, nearest_names
from outgrow.quantities import parse_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What setting one of them does."""

    effect: str
    """One sentence, for the reference page and for errors."""
    is_used: bool = True
    """False for those of the predecessor that have nothing to act on here; `effect` then says why."""


VARIABLES: Final[dict[str, Variable]] = {
    "GT_WORKERS": Variable(effect="How many local workers start; wins over everything else."),
    "GT_AUTO_SHARD": Variable(
        effect="1: as many workers as there are GPUs, or 2 without any, instead of one."
    ),
    "GT_WORKER_MEMORY": Variable(
        effect="What one worker may hold of parameters, optimizer state and constants, such as 60MB."
    ),
    "GT_RECOVERY": Variable(
        effect="0: keep no checkpoints and no log; a lost worker then loses what was held there."
    ),
    "GT_CHECKPOINT_MEMORY": Variable(
        effect="What one of two checkpoints of one worker may take; an eighth of memory for all by default."
    ),
    "GT_TOKEN": Variable(effect="The token of the dispatcher to connect to, 64 hexadecimal digits."),
    "GT_FRAME_LIMIT": Variable(
        effect="How large one message, and so a tensor that is sent, may be: 4GiB by default."
    ),
    "GT_CONFIG": Variable(effect="A YAML file of signals, read when the first one is looked up."),
    "GT_INSTRUCTION_LOG": Variable(
        effect="A file that every instruction is written to, for `outgrow shard visualize`."
    ),
    "GT_VERBOSE": Variable(effect="1: say on stderr what is started and how many workers there are."),
    "GT_DEBUG_CLIENT": Variable(effect="1: say on stderr what the program sends."),
    "GT_DEBUG_DISPATCHER": Variable(
        effect="None: what is dispatched, and when, is in the file that GT_INSTRUCTION_LOG names.",
        is_used=False,
    ),
    "GT_DEBUG_WORKER": Variable(
        effect="None: what each worker ran, and when, is in the file that GT_INSTRUCTION_LOG names.",
        is_used=False,
    ),
    "GT_DEBUG_COMPILE": Variable(effect="1: say on stderr, at the end, how repeated steps ran."),
    "GT_AUTO_COMPILE": Variable(
        effect="None: steps that repeat become programs of their own in any case, verified.", is_used=False
    ),
    "GT_HOTPATH_THRESHOLD": Variable(
        effect="None: what repeats is replayed once it was verified, so there is nothing to guess.",
        is_used=False,
    ),
    "GT_HOTPATH_WINDOW": Variable(
        effect="None: what repeats is found between two fetches or optimizer steps, not in a sliding window.",
        is_used=False,
    ),
    "GT_HOTPATH_MIN_SEQ": Variable(
        effect="None: the length of what repeats is that of the program's own step.", is_used=False
    ),
    "GT_BACKEND": Variable(
        effect="None: workers always run torch, on the processor or on their GPU.", is_used=False
    ),
}
"""By name."""

_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the variables say, checked."""

    workers: int | None = None
    """`GT_WORKERS`; None where it is not set."""
    shards_automatically: bool = False
    """`GT_AUTO_SHARD`."""
    worker_memory_bytes: int | None = None
    """`GT_WORKER_MEMORY`; None for no limit."""
    recovers: bool = True
    """`GT_RECOVERY`."""
    checkpoint_memory_bytes: int | None = None
    """`GT_CHECKPOINT_MEMORY`; None for the default."""
    frame_limit_bytes: int = 4 << 30
    """`GT_FRAME_LIMIT`."""
    config: Path | None = None
    """`GT_CONFIG`."""
    instruction_log: Path | None = None
    """`GT_INSTRUCTION_LOG`."""
    is_verbose: bool = False
    """`GT_VERBOSE`."""
    debugs_client: bool = False
    """`GT_DEBUG_CLIENT`."""
    debugs_compile: bool = False
    """`GT_DEBUG_COMPILE`."""

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> "Environment":
        """What this process's environment says, or `variables`.

        Raises:
            InputError: a value that cannot be, or a name that starts as ours do and is none of them.
        """
        given = os.environ if variables is None else variables
        for name in given:
            if name.startswith(("GT_HOTPATH_", "GT_DEBUG_", "GT_WORKER")) and name not in VARIABLES:
                near = ", ".join(nearest_names(name, VARIABLES))
                raise InputError(
                    f"{name} is no variable of outgrow.shard", hint=f"did you mean {near}? unset the other"
                )
        return cls(
            workers=_count(given, "GT_WORKERS"),
            shards_automatically=_flag(given, "GT_AUTO_SHARD"),
            worker_memory_bytes=_bytes(given, "GT_WORKER_MEMORY"),
            recovers=_flag(given, "GT_RECOVERY", default="1"),
            checkpoint_memory_bytes=_bytes(given, "GT_CHECKPOINT_MEMORY"),
            frame_limit_bytes=_bytes(given, "GT_FRAME_LIMIT") or 4 << 30,
            config=_path(given, "GT_CONFIG"),
            instruction_log=_path(given, "GT_INSTRUCTION_LOG"),
            is_verbose=_flag(given, "GT_VERBOSE"),
            debugs_client=_flag(given, "GT_DEBUG_CLIENT"),
            debugs_compile=_flag(given, "GT_DEBUG_COMPILE"),
        )

    def world_size(self, gpus: int, asked: int | None = None) -> int:
        """How many to start: `GT_WORKERS`, else `asked` by the program, else by `GT_AUTO_SHARD`, else 1."""
        if self.workers is not None:
            return self.workers
        if asked is not None:
            return asked
        return (gpus or 2) if self.shards_automatically else 1


def _flag(given: Mapping[str, str], name: str, *, default: str = "") -> bool:
    text = given.get(name, default).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise InputError(f"{name} is {given[name]!r}, expected 1 or 0", hint=f"unset {name} or set it to 1")
    return text in _TRUE


def _count(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or not int(text):
        raise InputError(
            f"{name} is {given[name]!r}, expected a whole number of workers, at least 1",
            hint=f"unset {name} for one worker",
        )
    return int(text)


def _bytes(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    try:
        return parse_bytes(text)
    except InputError as err:
        raise InputError(f"{name}: {err.message}", hint=err.hint) from err


def _path(given: Mapping[str, str], name: str) -> Path | None:
    text = given.get(name, "")
    return Path(text) if text else None
