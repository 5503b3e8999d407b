"""The built page: a few files, read once, known by name."""

__all__ = ["PageFiles"]

import hashlib
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from outgrow.compare.web.refusal import error_response
from outgrow.errors import StoreError, hint_for

_INDEX = "index.html"
# Not the system's: a browser runs no script that some list of types calls plain text.
_kinds = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}


class PageFiles:
    """Answers for everything outside `/api`. No path from a request reaches the file system."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds the built page; None for the one in the package.

        Raises:
            StoreError: it holds no page.
        """
        folder = folder or Path(__file__).parent / "static"
        try:
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            self._files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        except OSError as err:
            raise StoreError(
                f"cannot read the page in {str(folder)!r}: {err.strerror}", hint=hint_for(err)
            ) from err
        if _INDEX not in self._files:
            raise StoreError(
                f"there is no page in {str(folder)!r}", hint="install outgrow anew, or build it: make web"
            )

    async def answer(self, request: Request) -> Response:
        """The file that the path names, or 404."""
        name = request.path_params.get("path", "") or _INDEX
        content = self._files.get(name)
        if content is None:
            return error_response(404, "path", "there is no such page")
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        kind = _kinds.get(PurePosixPath(name).suffix, "application/octet-stream")
        return Response(content, media_type=kind, headers=headers)
