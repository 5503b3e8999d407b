"""A line to the dispatcher of a running program, to ask what its workers do."""

__all__ = ["Monitor", "open_monitor"]

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outgrow.errors import InputError
from outgrow.shard.client.link import Link
from outgrow.shard.engines.remote import connect_to, served_here
from outgrow.shard.messages import Ask
from outgrow.shard.wire.address import local_dispatchers


class Monitor:
    """Asks a dispatcher; its workers are not disturbed."""

    def __init__(self, link: Link, address: str) -> None:
        """The link becomes the monitor's."""
        self.address = address
        self._link = link
        self._requests = itertools.count(1)

    def look(self) -> dict[str, Any]:
        """What the dispatcher knows now: `ranks`, `sessions`, `seconds`, `world_size`."""
        return self._ask("monitor")

    def record(self, seconds: float) -> list[dict[str, Any]]:
        """What happens in so many seconds, as events of an instruction log. Waits for them."""
        self._ask("trace", seconds=seconds)
        time.sleep(seconds)
        found: list[dict[str, Any]] = self._ask("trace")["events"]
        return found

    def _ask(self, topic: str, **details: Any) -> dict[str, Any]:
        return self._link.request(Ask(request=next(self._requests), topic=topic, details=details)).body

    def close(self) -> None:
        """Give the line back."""
        self._link.close()


@contextlib.contextmanager
def open_monitor(
    address: str | None = None, *, token: str | None = None, token_file: Path | None = None
) -> Iterator[Monitor]:
    """A monitor of the dispatcher at an address, or of the only one that runs here for this user.

    Raises:
        InputError: none runs here, or several do.
        RemoteError: nobody answers at the address, or not to this token.
    """
    where = address or _only_one()
    monitor = Monitor(connect_to(where, token=token, token_file=token_file), where)
    try:
        yield monitor
    finally:
        monitor.close()


def _only_one() -> str:
    found = [str(address) for address in (*local_dispatchers(), *served_here())]
    if not found:
        raise InputError(
            "no program of yours has workers on this machine",
            hint="start one, or give --address of a dispatcher on another machine or of another user",
        )
    if len(found) > 1:
        raise InputError(
            f"{len(found)} programs of yours have workers on this machine",
            hint="choose one with --address: " + ", ".join(found),
        )
    return found[0]
