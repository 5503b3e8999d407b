"""A listening socket and the loop that serves it."""

__all__ = ["Server", "open_server"]

import contextlib
import errno
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Self

import uvicorn

from outgrow.compare.web.app import make_app
from outgrow.compare.web.connection import Connection
from outgrow.compare.web.options import Options
from outgrow.compare.web.sessions import Sessions
from outgrow.errors import InputError

_HOST = "127.0.0.1"
# Of all clients together; the others are told to come back. Each may take a descriptor and no more.
_MOST_CONNECTIONS = 512
# Browsers let a few connections rest; a new one costs nothing on the same machine.
_REST_SECONDS = 30
_GRACE_SECONDS = 1
_JOIN_SECONDS = 0.2


class Server:
    """Listens from the moment it exists; `serve` answers until a signal or `stop` comes."""

    def __init__(self, listening: socket.socket, options: Options) -> None:
        """Use `open_server`."""
        self._socket = listening
        self.port: int = listening.getsockname()[1]
        self.token = secrets.token_urlsafe(24)
        app = make_app(options, token=self.token, port=self.port)
        self._sessions: Sessions = app.state.sessions
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="on",
            # Faults are printed where they are caught; of what strangers send nothing is worth a line.
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_REST_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._uvicorn = _Loop(config, self._sessions)

    @property
    def url(self) -> str:
        """What people open, with the token behind `#`, which browsers keep to themselves."""
        return f"http://{_HOST}:{self.port}/#token={self.token}"

    def serve(self, *, on_signal: Callable[[int], None] = lambda _: None) -> None:
        """Answer calls until SIGINT, SIGTERM or `stop`; a signal is raised again at the end. `on_signal` is
        told its number at once."""
        caught: list[int] = []

        def catch(number: int, _: FrameType | None) -> None:
            if not caught:
                caught.append(number)
                on_signal(number)
            self.stop()

        with _handling(catch):
            self._uvicorn.run(sockets=[self._socket])
        if caught:
            signal.raise_signal(caught[0])

    def stop(self) -> None:
        """Let `serve` come to its end; may be called from any thread."""
        self._uvicorn.should_exit = True

    def close(self) -> bool:
        """Give the port and all sessions back; whether no thread is left that still compares. May be called
        twice."""
        self._socket.close()
        return self._sessions.close(_JOIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_server(options: Options) -> Server:
    """Take the port.

    Raises:
        InputError: somebody else has it, or a root is no folder.
        StoreError: the built page is not there.
    """
    # With the protocol named, asyncio turns off what keeps small answers back for 40 ms (Nagle).
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, options.port))
        except OSError as err:
            why = "is in use" if err.errno == errno.EADDRINUSE else f"cannot be used: {err.strerror}"
            raise InputError(
                f"port {options.port} {why}", hint="give another one: --port 0 takes any that is free"
            ) from err
        listening.listen(128)
        return Server(listening, options)
    except BaseException:
        listening.close()
        raise


class _Loop(uvicorn.Server):
    """uvicorn's, that ends at once: nobody at a terminal waits for calls that wait themselves."""

    def __init__(self, config: uvicorn.Config, sessions: Sessions) -> None:
        super().__init__(config)
        self._sessions = sessions

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._sessions.wake()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.drop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing to do: `Server.serve` has captured them, before there was a loop that could be torn."""
        yield


@contextlib.contextmanager
def _handling(catch: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who ignores them, as `nohup` and jobs in the background do, goes on doing so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, catch)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
