"""A listening socket and the loop that serves it."""

__all__ = ["Server", "open_server"]

import errno
import secrets
import socket
from typing import Self

import uvicorn

from outgrow.compare.web.app import make_app
from outgrow.compare.web.options import Options
from outgrow.errors import InputError

_HOST = "127.0.0.1"


class Server:
    """Listens from the moment it exists; `serve` answers until a signal or `stop` comes."""

    def __init__(self, listening: socket.socket, options: Options) -> None:
        """Use `open_server`."""
        self._socket = listening
        self.port: int = listening.getsockname()[1]
        self.token = secrets.token_urlsafe(24)
        config = uvicorn.Config(
            make_app(options, token=self.token, port=self.port),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._uvicorn = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """What people open, with the token behind `#`, which browsers keep to themselves."""
        return f"http://{_HOST}:{self.port}/#token={self.token}"

    def serve(self) -> None:
        """Answer calls until SIGINT, SIGTERM or `stop`; a signal is raised again at the end."""
        self._uvicorn.run(sockets=[self._socket])

    def stop(self) -> None:
        """Let `serve` come to its end; may be called from any thread."""
        self._uvicorn.should_exit = True

    def close(self) -> None:
        """Give the port back; may be called twice."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_server(options: Options) -> Server:
    """Take the port.

    Raises:
        InputError: somebody else has it.
        StoreError: the built page is not there.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
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
