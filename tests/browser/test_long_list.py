"""The list of tensors with 100,000 of them: few are drawn, all are found, and it scrolls smoothly."""

import os

import pytest
from playwright.sync_api import expect

from tests.browser.listed import ROW, active
from tests.browser.many_rows import show_many

pytestmark = pytest.mark.browser


@pytest.fixture
def long(open_page, compared_server):
    page = open_page("about:blank")
    show_many(page, compared_server.url, 100_000)
    return page


def test_a_floating_header_closes_its_group_where_one_is(long):
    scroller = long.locator(".scroller")
    scroller.evaluate("(list) => { list.scrollTop = 101 * 26 * 300 + 900 }")
    floating = long.get_by_test_id("floating-group")
    expect(floating).to_contain_text("Layer 300")
    floating.click()
    closed = long.locator('[data-testid=tensor-group][data-group="300"]')
    expect(closed).to_have_attribute("aria-expanded", "false")
    expect(closed).to_be_in_viewport()
    # A group closed elsewhere does not lead back to the tensor that is shown.
    long.locator(ROW).first.click()
    scroller.evaluate("(list) => { list.scrollTop = 101 * 26 * 500 }")
    long.locator('[data-testid=tensor-group][data-group="501"]').click()
    assert scroller.evaluate("(list) => list.scrollTop") == 101 * 26 * 500


def test_of_100_000_rows_few_are_drawn(long):
    assert long.locator(ROW).count() < 80
    expect(long.locator(".list-count")).to_have_text("100,000")
    long.locator(".scroller").focus()
    long.keyboard.press("End")
    last = long.locator(f'{ROW}[data-row="99999"]')
    expect(last).to_be_in_viewport()
    expect(last).to_have_attribute("aria-posinset", "100")
    expect(long.get_by_test_id("floating-group")).to_contain_text("Layer 999")
    long.locator(".scroller").evaluate("(list) => { list.scrollTop = 0 }")
    expect(long.locator(f'{ROW}[data-row="0"]')).to_be_in_viewport()
    assert active(long).startswith("model.layers.999.")
    assert long.locator(ROW).count() < 80


def test_of_100_000_rows_the_one_that_is_wanted_is_found(long):
    long.get_by_test_id("list-filter").fill("layers.612. experts.7*weight")
    expect(long.locator(ROW)).to_have_count(11)
    long.get_by_test_id("list-filter").fill("")
    long.get_by_test_id("first-divergence").click()
    chosen = long.locator(f"{ROW}[aria-selected=true]")
    expect(chosen).to_have_attribute("data-row", "60000")
    expect(chosen).to_be_in_viewport()
    long.reload()
    expect(chosen).to_have_attribute("data-row", "60000")
    expect(chosen).to_be_in_viewport()


RECORDER = """() => {
    window.frames_ = []; window.recording = true;
    let last = performance.now();
    const tick = (now) => {
        window.frames_.push(now - last); last = now;
        if (window.recording) requestAnimationFrame(tick);
    };
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(tick); });
}"""
STOP = "() => { window.recording = false; return window.frames_; }"
DRAG = """() => new Promise((done) => {
    const list = document.querySelector('.scroller');
    const most = list.scrollHeight - list.clientHeight;
    let step = 0;
    const drag = () => {
        list.scrollTop = most * Math.abs(Math.sin(step++ / 20));
        if (step < 150) requestAnimationFrame(drag); else done();
    };
    drag();
})"""


def thread_seconds(session):
    """Processor time of the page's main thread, whatever else the machine does."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


@pytest.mark.slow
def test_100_000_rows_scroll_smoothly(long):
    long.wait_for_load_state("networkidle")
    box = long.locator(".scroller").bounding_box()
    long.mouse.move(box["x"] + 100, box["y"] + 200)
    session = long.context.new_cdp_session(long)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    shares, costs = [], []
    for _ in range(3):
        before = thread_seconds(session)
        long.evaluate(RECORDER)
        for _ in range(60):
            long.mouse.wheel(0, 2000)
            long.wait_for_timeout(16)
        long.evaluate(DRAG)
        frames = long.evaluate(STOP)
        shares.append(sum(frame < 33 for frame in frames) / len(frames))
        costs.append((thread_seconds(session) - before) / len(frames))
    assert min(costs) < 0.016, costs
    if max(shares) < 0.95 and os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip(f"others keep the processors busy: {max(shares):.0%} of the frames took less than 33 ms")
    assert max(shares) >= 0.95, shares
