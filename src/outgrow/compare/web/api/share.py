"""The whole comparison as a file."""

__all__ = ["ROUTES"]

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import reading
from outgrow.compare.web.refusal import ApiError

_kinds = {"html": "text/html", "json": "application/json"}


def _report(request: Request) -> Response:
    from outgrow.compare.report import FORMATS

    kind = request.path_params["kind"]
    if kind not in _kinds:
        raise ApiError(
            f"there is no report as {kind!r}", status=404, code="report", hint="there are html and json"
        )
    with reading(request) as comparison:
        text = FORMATS[kind](comparison)
    headers = {"Content-Disposition": f'attachment; filename="outgrow-compare.{kind}"'}
    return Response(text, media_type=_kinds[kind], headers=headers)


ROUTES = (Route("/report.{kind}", _report, methods=["GET"]),)
