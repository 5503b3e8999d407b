"""The user's word on which tensors answer each other, and how they lie."""

__all__ = ["ROUTES"]

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session, read_json, reading
from outgrow.events import Listener

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison


def _show(request: Request) -> Response:
    from outgrow.compare.view.mapping import mapping_of

    with reading(request) as comparison:
        is_whole = request.query_params.get("whole") == "true"
        return JSONResponse(mapping_of(comparison, is_whole=is_whole))


async def _change(request: Request) -> Response:
    session = find_session(request)
    rules = (await read_json(request)).get("rules")

    def change(comparison: "Comparison", listener: Listener) -> "Comparison":
        from outgrow.compare.view.mapping import rules_from

        return comparison.remapped(rules_from(comparison, rules), listener=listener)

    status = await run_in_threadpool(session.alter, change)
    return JSONResponse(status.as_dict(), status_code=202)


async def _check(request: Request) -> Response:
    body = await read_json(request)

    def work() -> Response:
        from outgrow.compare.view.mapping import check_of

        with reading(request) as comparison:
            return JSONResponse(check_of(comparison, body))

    return await run_in_threadpool(work)


ROUTES = (
    Route("/mapping", _show, methods=["GET"]),
    Route("/mapping", _change, methods=["PUT"]),
    Route("/mapping/check", _check, methods=["POST"]),
)
