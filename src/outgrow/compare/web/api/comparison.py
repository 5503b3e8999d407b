"""Comparing, and how far it is."""

__all__ = ["ROUTES"]

import sys
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session, number, read_json
from outgrow.compare.web.refusal import ApiError

_WAIT_SECONDS = 10.0
_LARGEST = sys.float_info.max


async def _start(request: Request) -> Response:
    session = find_session(request)
    settings = _settings(await read_json(request))
    status = await run_in_threadpool(session.compare, settings)
    return JSONResponse(status.as_dict(), status_code=202)


async def _status(request: Request) -> Response:
    session = find_session(request)
    after = request.query_params.get("after")
    if after is None:
        return JSONResponse(session.status.as_dict())
    # No thread waits: 40 tabs that look on would leave none for those that ask.
    return JSONResponse((await session.changed(number(after, "after"), _WAIT_SECONDS)).as_dict())


def _cancel(request: Request) -> Response:
    return JSONResponse(find_session(request).cancel().as_dict(), status_code=202)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """The body of a call, looked at.

    Raises:
        ApiError: something in it cannot be meant.
    """
    for name, value in given.items():
        if name in ("rtol", "atol"):
            is_right = value is None or (_is_number(value) and value >= 0)
        elif name == "exact":
            is_right = isinstance(value, bool)
        elif name == "only":
            is_right = value is None or (isinstance(value, str) and len(value) <= 1000)
        else:
            raise ApiError(
                f"there is no setting {name!r}",
                status=400, code="input", hint="there are exact, rtol, atol and only",
            )  # fmt: skip
        if not is_right:
            raise ApiError(
                f"{name} cannot be {value!r}",
                status=400, code="input", hint="rtol and atol are numbers from 0, exact is true or false",
            )  # fmt: skip
    if given.get("exact") and (given.get("rtol") is not None or given.get("atol") is not None):
        raise ApiError(
            "exact allows no tolerance", status=400, code="input", hint="leave out rtol and atol, or exact"
        )
    return given


def _is_number(value: object) -> bool:
    # Held against the largest one: JSON has whole numbers that no float is as large as.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


ROUTES = (
    Route("/comparison", _start, methods=["POST"]),
    Route("/comparison", _status, methods=["GET"]),
    Route("/comparison", _cancel, methods=["DELETE"]),
)
