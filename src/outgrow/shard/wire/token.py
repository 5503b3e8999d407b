"""The secret that whoever reaches a dispatcher over a network must know."""

__all__ = ["TOKEN_BYTES", "find_token", "make_token", "read_token_file", "write_token_file"]

import os
import secrets
import stat
from pathlib import Path

from outgrow.errors import InputError

TOKEN_BYTES = 32


def make_token() -> bytes:
    """A new one."""
    return secrets.token_bytes(TOKEN_BYTES)


def find_token(text: str | None = None, file: Path | None = None) -> bytes | None:
    """The token given as text, or in a file, or by `GT_TOKEN`; None where none is.

    Raises:
        InputError: what is given is no token, or others could have read it.
    """
    if text is not None:
        return _parse(text, "the token")
    if file is not None:
        return read_token_file(file)
    given = os.environ.get("GT_TOKEN")
    return None if not given else _parse(given, "GT_TOKEN")


def read_token_file(path: Path) -> bytes:
    """The token in a file that its owner alone can read.

    Raises:
        InputError: there is none, or others can read it.
    """
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            text = file.read(1000)
    except OSError as err:
        raise InputError(
            f"{path}: the token cannot be read: {err.strerror}",
            hint="`outgrow shard serve --token-file` writes one",
        ) from err
    if about.st_uid not in (os.getuid(), 0) or stat.S_IMODE(about.st_mode) & 0o077:
        raise InputError(
            f"{path}: others than its owner can read or write the token", hint=f"chmod 600 {path}"
        )
    return _parse(text.decode("ascii", "replace"), str(path))


def write_token_file(path: Path, token: bytes) -> None:
    """Write a token where its owner alone can read it; the file must not be there yet.

    Raises:
        InputError: it is there, or cannot be written.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as err:
        raise InputError(
            f"{path}: the token cannot be written: {err.strerror}", hint="choose another path"
        ) from err
    with os.fdopen(file, "w", encoding="ascii") as opened:
        opened.write(token.hex() + "\n")


def _parse(text: str, name: str) -> bytes:
    try:
        token = bytes.fromhex(text.strip())
    except ValueError:
        token = b""
    if len(token) != TOKEN_BYTES:
        raise InputError(
            f"{name} is no token, expected {2 * TOKEN_BYTES} hexadecimal digits",
            hint="`outgrow shard serve` prints where its token is",
        )
    return token
