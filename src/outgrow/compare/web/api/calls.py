"""What every call does first: find its session, read its body."""

__all__ = ["SESSION_HEADER", "find_session", "number", "read_json", "reading"]

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.session import Session
from outgrow.compare.web.sessions import Sessions

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison

_MAX_BODY = 2**22
SESSION_HEADER = "x-outgrow-session"
_REVISION_HEADER = "x-outgrow-revision"


def find_session(request: Request) -> Session:
    """The session that the call names.

    Raises:
        ApiError: it names none that is known.
    """
    sessions: Sessions = request.app.state.sessions
    return sessions.find(request.headers.get(SESSION_HEADER, ""))


@contextlib.contextmanager
def reading(request: Request) -> Iterator["Comparison"]:
    """The comparison of the session that the call names, open until the end of the block.

    Make the whole answer in the block. A call that names a revision means the comparison that was ready with
    it: rows of another one have other numbers.

    Raises:
        ApiError: there is none yet, or another one has taken its place, before or meanwhile.
    """
    named = request.headers.get(_REVISION_HEADER)
    revision = None if named is None else number(named, "the revision")
    with find_session(request).reading(revision) as comparison:
        yield comparison


async def read_json(request: Request) -> dict[str, Any]:
    """The body, an object of JSON; an empty one is an empty object.

    Raises:
        ApiError: it is something else, or too large.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY:
            raise ApiError("the body is too large", status=413, code="too-large", hint="send less at a time")
    try:
        found = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as err:
        raise ApiError(
            f"the body is no JSON: {err}", status=400, code="input", hint="send an object in UTF-8"
        ) from err
    if not isinstance(found, dict):
        raise ApiError("the body is no object", status=400, code="input", hint="send an object of JSON")
    return found


def number(text: str | None, what: str) -> int:
    """A whole number of a path, query or header.

    Raises:
        ApiError: it is none.
    """
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise ApiError(
            f"{what} is no whole number: {text!r}", status=400, code="input", hint="write it in digits"
        )
    return int(text)
