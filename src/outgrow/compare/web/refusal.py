"""Why a call gets no answer, in a form that the page can show."""

__all__ = ["ApiError", "error_response"]

import json
from typing import Any

from starlette.responses import JSONResponse

from outgrow.errors import OutgrowError


class ApiError(OutgrowError):
    """A call that is refused: what happened, what to do, and the HTTP status."""

    def __init__(self, message: str, *, status: int, code: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


def error_response(status: int, code: str, message: str, hint: str | None = None) -> JSONResponse:
    """`{"error": {...}}`."""
    content: dict[str, Any] = {"error": {"message": message, "hint": hint, "code": code}}
    return _Ascii(content, status_code=status)


class _Ascii(JSONResponse):
    """Whatever a message quotes can be sent, also what is no Unicode text."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()
