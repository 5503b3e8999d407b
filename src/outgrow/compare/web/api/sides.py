"""Files of both sides: uploads and paths."""

__all__ = ["ROUTES"]

from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session, number, read_json
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.session import Session
from outgrow.compare.web.side_item import KINDS, SIDES, SideName
from outgrow.compare.web.upload import Upload
from outgrow.names import printable

_MAX_NAME = 255
# To hand a piece to another thread takes longer than to write the 64 KiB that come at a time.
_PIECE = 1 << 20


async def _upload(request: Request) -> Response:
    session, side = find_session(request), _side(request)
    name = _file_name(request.query_params.get("name", ""))
    said = request.headers.get("content-length")
    with session.receiving(None if said is None else number(said, "the length")) as upload:
        try:
            await _receive(request, session, upload)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        item = session.keep(side, upload, name)
    return JSONResponse(item.as_dict(), status_code=201)


async def _receive(request: Request, session: Session, upload: Upload) -> None:
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= _PIECE:
            await run_in_threadpool(upload.write, waiting)
            waiting = bytearray()
            session.touch()
    await run_in_threadpool(upload.write, waiting)
    if upload.nbytes == 0:
        raise ApiError("the file is empty", status=422, code="empty-file", hint="was it written to the end?")


async def _open_path(request: Request) -> Response:
    session, side = find_session(request), _side(request)
    path = (await read_json(request)).get("path")
    if not isinstance(path, str):
        raise ApiError("there is no path in the call", status=400, code="input", hint='send {"path": "..."}')
    item = await run_in_threadpool(session.open_path, side, path)
    return JSONResponse(item.as_dict(), status_code=201)


async def _arrange(request: Request) -> Response:
    session, side = find_session(request), _side(request)
    body = await read_json(request)
    order, kind = body.get("items"), body.get("as", "auto")
    if not isinstance(order, list) or not all(isinstance(item, str) for item in order) or kind not in KINDS:
        raise ApiError(
            "the call does not say how the files are to be arranged",
            status=400, code="input", hint=f'send {{"items": [id, ...], "as": one of {", ".join(KINDS)}}}',
        )  # fmt: skip
    arranged = session.arrange(side, order, kind)
    return JSONResponse({"items": [item.as_dict() for item in arranged.items], "as": arranged.kind})


def _swap(request: Request) -> Response:
    sides = find_session(request).swap()
    content = {
        "sides": {name: [item.as_dict() for item in side.items] for name, side in sides.items()},
        "as": {name: side.kind for name, side in sides.items()},
    }
    return JSONResponse(content)


def _remove(request: Request) -> Response:
    find_session(request).remove(_side(request), request.path_params["item"])
    return Response(status_code=204)


def _side(request: Request) -> SideName:
    side = request.path_params["side"]
    if side not in SIDES:
        raise ApiError(
            f"there is no side {side!r}", status=404, code="side", hint=f"there are {' and '.join(SIDES)}"
        )
    return cast("SideName", side)


def _file_name(given: str) -> str:
    """What the browser calls it, with the folders that were dropped: for its suffix and for people.

    It never becomes a path. It is as short as names of files are: without its folders if need be.
    """
    parts = [part.strip() for part in printable(given.replace("\\", "/")).split("/")]
    parts = [part for part in parts if part not in ("", ".", "..")]
    name = "/".join(parts)
    if len(name) > _MAX_NAME:
        name = parts[-1]
    if not name or len(name) > _MAX_NAME:
        raise ApiError(
            f"a name of {len(given):,} characters cannot be used",
            status=400, code="input", hint=f"give the file a name of 1 to {_MAX_NAME} characters",
        )  # fmt: skip
    return name


ROUTES = (
    Route("/sides/swap", _swap, methods=["POST"]),
    Route("/sides/{side}", _arrange, methods=["PUT"]),
    Route("/sides/{side}/uploads", _upload, methods=["POST"]),
    Route("/sides/{side}/paths", _open_path, methods=["POST"]),
    Route("/sides/{side}/{item}", _remove, methods=["DELETE"]),
)
