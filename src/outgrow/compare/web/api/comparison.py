"""Comparing, and how far it is."""

__all__ = ["ROUTES"]

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session, number, read_json

_WAIT_SECONDS = 10.0


async def _start(request: Request) -> Response:
    session = find_session(request)
    settings = await read_json(request)
    status = await run_in_threadpool(session.compare, settings)
    return JSONResponse(status.as_dict(), status_code=202)


def _status(request: Request) -> Response:
    job = find_session(request).job
    after = request.query_params.get("after")
    status = job.status if after is None else job.wait(number(after, "after"), _WAIT_SECONDS)
    return JSONResponse(status.as_dict())


def _cancel(request: Request) -> Response:
    return JSONResponse(find_session(request).job.cancel().as_dict(), status_code=202)


ROUTES = (
    Route("/comparison", _start, methods=["POST"]),
    Route("/comparison", _status, methods=["GET"]),
    Route("/comparison", _cancel, methods=["DELETE"]),
)
