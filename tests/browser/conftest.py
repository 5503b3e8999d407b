import shutil

import httpx
import pytest

from tests.browser.number_runs import numbers, settle
from tests.browser.runs import planted, write_runs
from tests.browser.served import Served
from tests.browser.watched import Complaints

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def browser():
    """A real browser, the system's own: nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs chromium or chrome")
    # A busy machine is slow, which is no fault of the page; what has to be fast has tests of its own.
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def complaints():
    """Whatever the pages of a test complain of fails it, but for what it allows."""
    found = Complaints()
    yield found
    found.check()


@pytest.fixture
def tab(browser, complaints):
    """An empty page without a network."""
    context = browser.new_context(offline=True)
    tab = context.new_page()
    complaints.watch(tab)
    yield tab
    context.close()


@pytest.fixture(scope="session")
def web_environment(tmp_path_factory):
    """Servers find a cache of their own."""
    return {"OUTGROW_CACHE": str(tmp_path_factory.mktemp("web-cache")), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def serve(web_environment, browser):
    """Start a server with the given arguments of `outgrow web`; it is stopped at the end of the test."""
    started = []

    def start(*args, env=None):
        started.append(Served(*args, env={**web_environment, **(env or {})}))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(web_environment, browser):
    """A server without runs, for all tests: each tab is by itself."""
    served = Served(env=web_environment)
    yield served
    served.stop()


@pytest.fixture(scope="session")
def run_files(tmp_path_factory):
    """Two runs that part at `2_post_attn`: paths of expected and actual."""
    return write_runs(tmp_path_factory.mktemp("runs"), *planted())


@pytest.fixture(scope="session")
def compared_server(web_environment, run_files, browser):
    """A server whose tabs begin with the two runs of `run_files`."""
    served = Served(*run_files, env=web_environment)
    yield served
    served.stop()


@pytest.fixture(params=["light", "dark"])
def theme(request):
    """Both."""
    return request.param


@pytest.fixture
def open_page(browser, complaints):
    """Open an address in a browser of its own: `open_page(url, theme="dark", width=800)`."""
    contexts = []

    def open_it(url, *, theme="light", width=1280, height=800, context=None, **options):
        if context is None:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme, **options
            )
            context.set_default_timeout(PATIENCE_MS)
            contexts.append(context)
        page = context.new_page()
        complaints.watch(page)
        page.goto(url)
        return page

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture
def opened(open_page, server):
    """The page with two empty drop zones."""
    page = open_page(server.url)
    page.get_by_test_id("compare-button").wait_for()
    return page


@pytest.fixture
def compared(open_page, compared_server):
    """The page at the verdict of two runs that differ."""
    page = open_page(compared_server.url)
    page.get_by_test_id("verdict").wait_for()
    return page


@pytest.fixture(scope="session")
def number_runs():
    """A tensor for each kind of number: expected and actual."""
    return numbers()


@pytest.fixture(scope="session")
def numbers_server(web_environment, browser, number_runs, tmp_path_factory):
    """A server whose tabs begin with the runs of `number_runs`."""
    served = Served(*write_runs(tmp_path_factory.mktemp("numbers"), *number_runs), env=web_environment)
    yield served
    served.stop()


@pytest.fixture(scope="session")
def row_of(numbers_server):
    """The row of each name."""
    headers = {"Authorization": f"Bearer {numbers_server.token}"}
    with httpx.Client(base_url=numbers_server.address, headers=headers, timeout=30) as client:
        client.headers["X-Outgrow-Session"] = client.get("/api/session").json()["session"]
        status = {"revision": 0}
        while status.get("state") != "ready":
            status = client.get("/api/comparison", params={"after": status["revision"]}).json()
        rows = client.get("/api/rows").json()
    pairs = zip(rows["expected"], rows["actual"], strict=True)
    return {expected or actual: row for row, (expected, actual) in enumerate(pairs)}


@pytest.fixture
def show(open_page, numbers_server, row_of):
    """Open the page at a tensor: `show("0_query", mode="plane")`."""

    def at(name, *, width=1280, theme="light", **place):
        fields = "".join(f"&{field}={value}" for field, value in {"row": row_of[name], **place}.items())
        page = open_page(numbers_server.url + fields, width=width, theme=theme, height=1600)
        page.get_by_test_id("tensor-view").wait_for()
        settle(page)
        return page

    return at
