"""What every call does first: find its session, read its body."""

__all__ = ["find_session", "number", "read_json", "ready"]

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.session import Session
from outgrow.compare.web.sessions import Sessions

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison

_MAX_BODY = 2**22
SESSION_HEADER = "x-outgrow-session"


def find_session(request: Request) -> Session:
    """The session that the call names.

    Raises:
        ApiError: it names none that is known.
    """
    sessions: Sessions = request.app.state.sessions
    return sessions.find(request.headers.get(SESSION_HEADER, ""))


def ready(session: Session) -> "Comparison":
    """Its comparison.

    Raises:
        ApiError: there is none yet.
    """
    comparison = session.job.comparison
    if comparison is None:
        raise ApiError("nothing is compared yet", status=409, code="not-ready", hint="compare two runs first")
    return comparison


async def read_json(request: Request) -> dict[str, Any]:
    """The body, an object of JSON; an empty one is an empty object.

    Raises:
        ApiError: it is something else, or too large.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY:
            raise ApiError("the body is too large", status=413, code="too-large")
    try:
        found = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as err:
        raise ApiError(f"the body is no JSON: {err}", status=400, code="input") from err
    if not isinstance(found, dict):
        raise ApiError("the body is no object", status=400, code="input")
    return found


def number(text: str | None, what: str) -> int:
    """A whole number of a path or query.

    Raises:
        ApiError: it is none.
    """
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise ApiError(f"{what} is no whole number: {text!r}", status=400, code="input")
    return int(text)
