"""The verdict, the list and one row of it."""

__all__ = ["ROUTES"]

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import number, reading


def _verdict(request: Request) -> Response:
    from outgrow.compare.view.verdict import verdict_of

    with reading(request) as comparison:
        return JSONResponse(verdict_of(comparison))


def _rows(request: Request) -> Response:
    from outgrow.compare.view.rows import rows_of

    with reading(request) as comparison:
        return JSONResponse(rows_of(comparison))


def _row(request: Request) -> Response:
    from outgrow.compare.view.detail import detail_of

    with reading(request) as comparison:
        return JSONResponse(detail_of(comparison, number(request.path_params["row"], "row")))


def _statistics(request: Request) -> Response:
    from outgrow.compare.view.statistics import statistics_of

    with reading(request) as comparison:
        return JSONResponse(statistics_of(comparison, number(request.path_params["row"], "row")))


ROUTES = (
    Route("/verdict", _verdict, methods=["GET"]),
    Route("/rows", _rows, methods=["GET"]),
    Route("/rows/{row}", _row, methods=["GET"]),
    Route("/rows/{row}/statistics", _statistics, methods=["GET"]),
)
