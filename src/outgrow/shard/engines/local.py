"""Workers on this machine, started by the program that uses them and gone when it is."""

__all__ = ["start_local"]

from pathlib import Path
from typing import Any

from outgrow.errors import InputError
from outgrow.shard.engines.server_process import start_server
from outgrow.shard.wire.link import WireLink


def start_local(
    world_size: int,
    *,
    threads: int | None = None,
    instruction_log: Path | None = None,
    memory_bytes: int | None = None,
    recovery: dict[str, Any] | None = None,
) -> WireLink:
    """A session with `world_size` workers of its own; returns at once, the first answer waits until they are
    there.

    The workers share the cores that this process may use, `threads` each where given, and have a GPU each
    where torch sees any. Where they are not given, the log and the memory of a worker are those of
    `GT_INSTRUCTION_LOG` and `GT_WORKER_MEMORY`. The workers end with `close`, with the program, and with its
    death. No file and no port is left, since none is made. `recovery`: plain JSON, `limits` as in
    `RecoveryLimits`, and `decisions` as an earlier run answered the question `decisions`: then this one runs
    as that one ran.

    Raises:
        InputError: the world size is no whole number of at least 1.
    """
    if type(world_size) is not int or world_size < 1:
        raise InputError(
            f"{world_size!r} workers cannot be started, expected a whole number of at least 1",
            hint="GT_WORKERS=2 or gt.connect(workers=2) starts two",
        )
    return start_server(
        world_size,
        threads=threads,
        instruction_log=instruction_log,
        memory_bytes=memory_bytes,
        recovery=recovery,
    )
