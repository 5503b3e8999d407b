"""Numbers of one row: values, tiles, histograms, search."""

__all__ = ["ROUTES"]

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session, number, read_json, reading
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.turns import Turn, Turns

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison
    from outgrow.compare.view.kept_sides import KeptSides

Body = dict[str, Any]
_T = TypeVar("_T")
_SPECS = ("view", "expected", "actual")
_WHICH = ("expected", "actual", "difference")
_WHATS = ("maximum", "difference", "value", "range", "nan", "inf")


def _values(comparison: "Comparison", row: int, body: Body, turn: Turn, kept: "KeptSides") -> Response:
    from outgrow.compare.view import compare_cells, read_cells
    from outgrow.compare.view.looking import Looking

    _check_keys(body, _SPECS)
    looking = Looking.of(comparison, row, body, kept=kept)
    expected, actual = (None if look is None else read_cells(*look) for look in looking.both)
    content: dict[str, Any] = {
        "expected": None if expected is None else expected.as_json(),
        "actual": None if actual is None else actual.as_json(),
    }
    if expected is None or actual is None:
        content |= {"difference": [], "difference_text": [], "ulp": [], "differs": []}
    else:
        rtol, atol = looking.tolerance
        content |= compare_cells(expected, actual, rtol=rtol, atol=atol).as_json()
    return JSONResponse(content)


def _tile(comparison: "Comparison", row: int, body: Body, turn: Turn, kept: "KeptSides") -> Response:
    from outgrow.compare.view import draw_difference, draw_tile
    from outgrow.compare.view.looking import Looking

    _check_keys(body, (*_SPECS, "which", "max_height", "max_width"))
    which = _choice(body, "which", _WHICH)
    height, width = (_whole(body, name, least=1) for name in ("max_height", "max_width"))
    looking = Looking.of(comparison, row, body, kept=kept)
    if which == "difference":
        tile = draw_difference(
            *looking.wanted("expected"), *looking.wanted("actual"), max_height=height, max_width=width,
            check=turn,
        )  # fmt: skip
    else:
        tile = draw_tile(*looking.wanted(which), max_height=height, max_width=width, check=turn)
    headers = {"X-Outgrow-Tile": json.dumps(tile.as_json())}
    return Response(tile.as_bytes(), media_type="application/octet-stream", headers=headers)


def _histogram(comparison: "Comparison", row: int, body: Body, turn: Turn, kept: "KeptSides") -> Response:
    from outgrow.compare.view import draw_histogram
    from outgrow.compare.view.looking import Looking, view_of

    _check_keys(body, (*_SPECS, "bins", "rank"))
    bins = _whole(body, "bins", least=1)
    if body.get("expected") is None and body.get("actual") is None:
        looking = Looking.whole(comparison, row, view_of(body), rank=_rank(body), kept=kept)
    else:
        looking = Looking.of(comparison, row, body, kept=kept)
    return JSONResponse(draw_histogram(*looking.windows, bins=bins, check=turn).as_json())


def _find(comparison: "Comparison", row: int, body: Body, turn: Turn, kept: "KeptSides") -> Response:
    from outgrow.compare.view import Query, find, find_maximum
    from outgrow.compare.view.detail import known_maximum
    from outgrow.compare.view.looking import sides_of, tolerance_of, view_of

    _check_keys(body, ("view", "rank", "what", "side", "low", "high", "from", "direction", "count"))
    view, is_maximum = view_of(body), _choice(body, "what", _WHATS) == "maximum"
    _choice(body, "side", (*_WHICH[:2], "either"), default="either")
    if is_maximum and view == "aligned" and (known := known_maximum(comparison, row)) is not None:
        return JSONResponse(known)
    expected, actual = sides_of(comparison, row, view, rank=_rank(body), kept=kept)
    if is_maximum:
        if expected is None or actual is None:
            raise _wrong("a difference was looked for on one side", hint="look at both sides")
        return JSONResponse(find_maximum(expected, actual, check=turn).as_json())
    rtol, atol = tolerance_of(comparison, row)
    # What the judge allows is no tolerance of the user's: any difference is found where none is beyond it.
    query = Query.parse(body, rtol=rtol, atol=atol, or_any=comparison.rules is None)
    if view == "own" and query.what != "difference":
        # Each side in its own shape: only one of them can be searched.
        expected = None if query.side == "actual" else expected
        actual = None if query.side == "expected" else actual
    found = find(
        query, expected, actual, start=_index(body), direction=_direction(body),
        is_counted=_choice(body, "count", (True, False), default=False), check=turn,
    )  # fmt: skip
    return JSONResponse(found.as_json())


def _index(body: Body) -> tuple[int, ...] | None:
    found = body.get("from")
    if found is None:
        return None
    if not isinstance(found, list) or not all(
        isinstance(at, int) and not isinstance(at, bool) for at in found
    ):
        raise _wrong(f"from is {_short(found)}", hint="it is an index, a whole number for each dim")
    return tuple(found)


def _direction(body: Body) -> Literal[1, -1]:
    return 1 if _choice(body, "direction", (1, -1), default=1) == 1 else -1


def _rank(body: Body) -> int:
    return _whole(body, "rank", least=0) if "rank" in body else 0


def _check_keys(body: Body, known: tuple[str, ...]) -> None:
    for key in body:
        if key not in known:
            raise _wrong(f"the body has {_short(key)}", hint=f"it may have {', '.join(known)}")


def _choice(body: Body, name: str, choices: tuple[_T, ...], *, default: _T | None = None) -> _T:
    found = body.get(name, default)
    # By type, too: True is 1 to Python.
    for choice in choices:
        if type(found) is type(choice) and found == choice:
            return choice
    raise _wrong(f"{name} is {_short(found)}", hint=f"it is one of {', '.join(map(str, choices))}")


def _whole(body: Body, name: str, *, least: int) -> int:
    found = body.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise _wrong(f"{name} is {_short(found)}", hint=f"it is a whole number from {least} on")
    return found


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _wrong(message: str, *, hint: str) -> ApiError:
    return ApiError(message, status=400, code="input", hint=hint)


Answer = Callable[["Comparison", int, Body, Turn, "KeptSides"], Response]


def _answering(kind: str, answer: Answer, *, is_alone: bool = False) -> Callable[[Request], Any]:
    """An endpoint that reads numbers, in a thread of its own, until the tab is gone, or where it asks for one
    thing at a time, until it asks anew."""

    async def endpoint(request: Request) -> Response:
        row = number(request.path_params["row"], "row")
        body = await read_json(request)
        turns: Turns = request.app.state.turns
        # Two that begin at the same moment may each make one: the last is kept.
        by_comparison: WeakKeyDictionary[Comparison, KeptSides] = request.app.state.kept
        is_whole = body.get("expected") is None and body.get("actual") is None
        key = (find_session(request).id, kind, is_whole) if is_alone else None
        with turns.take(key) as turn:

            def work() -> Response:
                from outgrow.compare.view.kept_sides import KeptSides

                with reading(request) as comparison:
                    kept = found if (found := by_comparison.get(comparison)) else KeptSides()
                    by_comparison[comparison] = kept
                    return answer(comparison, row, body, turn, kept)

            watching = asyncio.create_task(_watch(request, turn))
            try:
                return await run_in_threadpool(work)
            finally:
                watching.cancel()

    return endpoint


async def _watch(request: Request, turn: Turn) -> None:
    """End the turn when the other end of the wire is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    turn.end()


ROUTES = (
    Route("/rows/{row}/values", _answering("values", _values), methods=["POST"]),
    Route("/rows/{row}/tile", _answering("tile", _tile), methods=["POST"]),
    Route("/rows/{row}/histogram", _answering("histogram", _histogram, is_alone=True), methods=["POST"]),
    Route("/rows/{row}/find", _answering("find", _find, is_alone=True), methods=["POST"]),
)
