"""Files of both sides: uploads and paths."""

__all__ = ["ROUTES"]

import secrets
from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.side_item import SIDES, SideItem, SideName
from outgrow.compare.web.upload import Upload
from outgrow.names import printable

_MAX_NAME = 255


async def _upload(request: Request) -> Response:
    session, side = find_session(request), _side(request)
    name = _file_name(request.query_params.get("name", ""))
    upload = Upload(max_bytes=session.options.max_upload_bytes)
    try:
        async for piece in request.stream():
            await run_in_threadpool(upload.write, piece)
    except ClientDisconnect:
        upload.close()
        return Response(status_code=400)
    except BaseException:
        upload.close()
        raise
    item = SideItem(
        id=secrets.token_urlsafe(9), name=name, nbytes=upload.nbytes, source="upload", path=upload.path,
        close=upload.close,
    )  # fmt: skip
    session.add(side, item)
    return JSONResponse(item.as_dict(), status_code=201)


def _remove(request: Request) -> Response:
    find_session(request).remove(_side(request), request.path_params["item"])
    return Response(status_code=204)


def _side(request: Request) -> SideName:
    side = request.path_params["side"]
    if side not in SIDES:
        raise ApiError(f"there is no side {side!r}", status=404, code="side")
    return cast("SideName", side)


def _file_name(given: str) -> str:
    """The last part of what the browser calls it: for its suffix and for people, never for a path."""
    name = printable(given.replace("\\", "/").rpartition("/")[2].strip())
    if not name or len(name) > _MAX_NAME:
        raise ApiError("the upload has no name that can be used", status=400, code="input")
    return name


ROUTES = (
    Route("/sides/{side}/uploads", _upload, methods=["POST"]),
    Route("/sides/{side}/{item}", _remove, methods=["DELETE"]),
)
