"""The page in a real browser, with a clock inside it: what the driver needs to look is not measured."""

__all__ = ["Page", "chromium", "open_browser", "open_page"]

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_TIMEOUT_MS = 600_000
# The width and height of a laptop's screen, at one pixel for each.
_VIEW = {"width": 1280, "height": 800}

_INSIDE = Path(__file__).with_name("inside.js")


def chromium() -> str | None:
    """The browser of the system, where there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Page:
    """One tab without a past."""

    def __init__(self, context: Any) -> None:
        self._page = context.new_page()
        self._page.set_default_timeout(_TIMEOUT_MS)
        self._page.add_init_script(path=_INSIDE)
        self.complaints: list[str] = []
        self._page.on("console", lambda said: self._hear(said.text) if said.type == "error" else None)
        self._page.on("pageerror", lambda error: self._hear(str(error)))

    def _hear(self, text: str) -> None:
        self.complaints.append(text[:500])

    def open(self, url: str) -> None:
        """Go there."""
        self._page.goto(url)

    def reload(self) -> None:
        """As the user does."""
        self._page.reload()

    def wait_for(self, testid: str) -> None:
        """Until it is there."""
        self._page.locator(f'[data-testid="{testid}"]').first.wait_for(state="attached")

    def call(self, method: str, path: str, body: object = None) -> Any:
        """As the page itself calls the server."""
        return self._page.evaluate("given => bench.call(given)", [method, path, body])

    def seconds(self, path: str) -> dict[str, float]:
        """How long an answer of JSON takes to come to the page and to be read there, and its bytes."""
        found: dict[str, float] = self._page.evaluate("path => bench.seconds(path)", path)
        return found

    def press_compare(self) -> float:
        """Press the button as soon as it can be; returns when, in seconds since 1970."""
        return float(self._page.evaluate("bench.compare()")) / 1e3

    def verdict_at(self) -> tuple[float, str]:
        """When the verdict was on the screen, in seconds since 1970, and its words.

        Raises:
            OSError: the page shows an error instead.
        """
        found = self._page.evaluate("bench.verdict()")
        if "error" in found:
            raise OSError(f"the page says: {found['error'][:500]}")
        return float(found["at"]) / 1e3, str(found["text"])

    def drop(self, side: str, path: Path) -> float:
        """Give a file to the input of a side; returns when, in seconds since 1970."""
        at = self.now()
        self._page.locator(f'[data-testid="drop-{side}"] input[type=file]').first.set_input_files(str(path))
        return at

    def now(self) -> float:
        """The page's clock, in seconds since 1970."""
        return float(self._page.evaluate("bench.now()")) / 1e3

    def first_paint_seconds(self) -> float:
        """First contentful paint, since the navigation began."""
        return float(self._page.evaluate("bench.paint()")) / 1e3

    def tile_seconds(self, calls: Sequence[tuple[int, dict[str, Any]]]) -> list[float]:
        """From each request for a tile to its numbers in the page, one after the other."""
        return [float(seconds) for seconds in self._page.evaluate("given => bench.tiles(given)", list(calls))]

    def select(self, name: str) -> None:
        """Look at a tensor."""
        field = self._page.locator('[data-testid="list-filter"]').first
        field.fill(name)
        self._page.locator(f'[data-testid="tensor-row"][data-name="{name}"]').first.click()
        self.wait_for("tensor-view")
        field.fill("")

    def slide_seconds(self, testid: str, value: int) -> tuple[float, float]:
        """From moving a slider to the first and to the last picture that was drawn after it."""
        first, last = self._page.evaluate("given => bench.slide(given)", [testid, value])
        return float(first) / 1e3, float(last) / 1e3

    def scroll(self, frames: int, step: int) -> dict[str, Any]:
        """Scroll the list by so many pixels in each of so many frames; their times, and how many names stood
        in the first line."""
        found: dict[str, Any] = self._page.evaluate("given => bench.scroll(given)", [frames, step])
        return found


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """A browser without a window; `browser.new_context()` makes room for one `Page`.

    Raises:
        OSError: there is none.
    """
    path = chromium()
    if path is None:
        raise OSError("there is no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        # A pixel of memory for each: /dev/shm is small in containers.
        launched = running.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield launched
        finally:
            launched.close()


@contextlib.contextmanager
def open_page(browser: Any) -> Iterator[Page]:
    """A tab, closed at the end; what it complained of on its console is an error.

    Raises:
        OSError: it complained.
    """
    context = browser.new_context(viewport=_VIEW)
    try:
        page = Page(context)
        yield page
        if page.complaints:
            raise OSError(f"the page complained: {page.complaints[0]}")
    finally:
        context.close()
