"""Where a dispatcher is reached: `tcp://host:port`, `unix:/path` or `unix:@name`."""

__all__ = ["Address", "local_dispatchers", "own_address"]

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from outgrow.errors import InputError

_OWN_PREFIX = "outgrow-shard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One of: host and port, or a path, or a name that needs no file (Linux)."""

    host: str | None = None
    port: int = 0
    path: str | None = None
    """Of a Unix socket; `@name` for one without a file."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """What `str()` wrote, or a user did; `host:port` is TCP.

        Raises:
            InputError: it is none of these.
        """
        hint = "write tcp://127.0.0.1:7070, unix:/path/to/socket or unix:@name"
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if path in ("", "@") or len(os.fsencode(path)) > 100:
                raise InputError(f"{text!r} is no address of a Unix socket", hint=hint)
            return cls(path=path)
        host, colon, port = text.removeprefix("tcp://").rpartition(":")
        if not colon or "/" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise InputError(f"{text!r} is no address of a dispatcher", hint=hint)
        return cls(host=host.strip("[]") or "127.0.0.1", port=int(port))

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return (
            f"tcp://[{self.host}]:{self.port}"
            if ":" in (self.host or "")
            else f"tcp://{self.host}:{self.port}"
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host or "").is_loopback
        except ValueError:
            return False

    def connect(self, timeout_seconds: float) -> socket.socket:
        """A socket to it; raises OSError."""
        if self.path is None:
            return socket.create_connection((self.host, self.port), timeout_seconds)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(timeout_seconds)
            opened.connect(_kernel_path(self.path))
        except BaseException:
            opened.close()
            raise
        return opened

    def listen(self) -> socket.socket:
        """A socket that others reach here; port 0 takes a free one.

        Raises:
            InputError: the address is taken, or is none of this machine.
        """
        try:
            if self.path is None:
                family = socket.AF_INET6 if ":" in (self.host or "") else socket.AF_INET
                return socket.create_server((self.host or "127.0.0.1", self.port), family=family)
            return _listen_unix(self.path)
        except OSError as err:
            raise InputError(
                f"cannot listen at {self}: {err.strerror or err}",
                hint="choose another port or path, or end the process that holds it",
            ) from err

    @classmethod
    def of(cls, listener: socket.socket) -> "Address":
        """The address of a socket that listens."""
        name = listener.getsockname()
        if listener.family != socket.AF_UNIX:
            return cls(host=name[0], port=name[1])
        return cls(path="@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else name)


def own_address() -> Address:
    """Where this process, started by a program, is reached by others of its user."""
    return Address(path=f"@{_OWN_PREFIX}-{os.getuid()}-{os.getpid()}")


def local_dispatchers() -> list[Address]:
    """The dispatchers that programs of this user started on this machine, as the kernel lists them."""
    prefix = f"@{_OWN_PREFIX}-{os.getuid()}-"
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines():
        name = line.rpartition(" ")[2]
        if name.startswith(prefix):
            found.add(name)
    return [Address(path=name) for name in sorted(found)]


def _listen_unix(path: str) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody else's, from the first moment on
    try:
        opened.bind(_kernel_path(path))
        opened.listen()
    except BaseException:
        opened.close()
        raise
    finally:
        os.umask(before)
    return opened


def _kernel_path(path: str) -> str | bytes:
    return b"\0" + os.fsencode(path[1:]) if path.startswith("@") else path
