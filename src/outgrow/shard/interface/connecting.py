"""From a program to its workers and back: `connect`, `gpu_workers`, `shutdown`, `statistics`."""

__all__ = ["AlreadyStarted", "connect", "gpu_workers", "shutdown", "statistics"]

from typing import Any

from outgrow.errors import InputError
from outgrow.quantities import parse_bytes
from outgrow.shard.client.session import Session, default_session, set_default_session
from outgrow.shard.environment import Environment
from outgrow.shard.interface.placing import world_size
from outgrow.shard.narration import narrated


class AlreadyStarted(InputError, RuntimeError):
    """This program has workers already; what it asks for has to be asked before."""


def connect(
    address: str | None = None,
    *,
    token: str | None = None,
    workers: int | None = None,
    memory: int | str | None = None,
) -> None:
    """Use the workers of a dispatcher at `host:port`, or start `workers` local ones.

    `memory` is what each of the local ones may hold between two steps, in bytes or as `512MB`: no plan needs
    more. Left out, it is as `GT_WORKER_MEMORY` says.

    Tensors made before belong to other workers, and cannot meet those made after: connect first.

    Raises:
        AlreadyStarted: the program has workers; `shutdown()` lets them go.
        InputError: an address or a size that is none, or an address beside what is for local workers.
        RemoteError: nobody answers there, or not to this token, or in another version.
    """
    _check_not_started("connect()")
    if address is None:
        from outgrow.shard.engines.default import start_default

        memory_bytes = None if memory is None else parse_bytes(memory)
        set_default_session(Session(start_default(workers, memory_bytes)))
        return
    if workers is not None or memory is not None:
        what = "a number of workers" if memory is None else "the memory of workers"
        raise InputError(
            f"connect() was given both an address and {what}",
            hint="the dispatcher there has its own",
        )
    from outgrow.shard.engines.remote import connect_to

    link = narrated(connect_to(address, token=token), Environment.read(), f"with the workers of {address}")
    set_default_session(Session(link))


def gpu_workers(n: Any) -> None:
    """Start `n` local workers, with a GPU each where there are any; `GT_WORKERS` and torchrun win.

    Raises:
        AlreadyStarted: the program has workers.
        InputError: no whole number of at least 1.
    """
    _check_not_started("gpu_workers()")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(
            f"{n!r} workers cannot be started, expected a whole number of at least 1",
            hint="gt.gpu_workers(2) starts two",
        )
    from outgrow.shard.engines.default import start_default

    set_default_session(Session(start_default(n)))


def shutdown() -> None:
    """Let the workers go. Tensors on them are lost; the next use starts new ones. Fine to call again."""
    session = set_default_session(None)
    if session is not None:
        session.link.close()


def statistics() -> dict[str, Any]:
    """What the workers did for this program: `world_size`, and `workers` with figures for each.

    Each has `ops`, `calls`, `replayed_calls`, `busy_seconds`, `held_bytes` and `peak_bytes`, among others.
    """
    session = default_session()
    answer = session.ask("statistics")
    count = world_size(session)
    if "workers" not in answer:
        # All of them live in one process, and have one account.
        answer = {"workers": [dict(answer) for _ in range(count)]}
    return {"world_size": count, **answer}


def _check_not_started(what: str) -> None:
    session = set_default_session(None)
    if session is not None:
        set_default_session(session)
        raise AlreadyStarted(
            f"{what} comes after the first tensor: the program has workers",
            hint="call it first, or gt.shutdown() before it",
        )
