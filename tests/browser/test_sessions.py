"""Tabs, browsers and servers that come and go: nobody sees another's data, and nothing goes blank."""

import re
import socket

import pytest
from playwright.sync_api import expect

from tests.browser.zones import names, pick, zone

pytestmark = pytest.mark.browser


def open_in(open_page, context, server):
    page = open_page(server.url, context=context)
    page.get_by_test_id("compare-button").wait_for()
    return page


def test_two_browsers_do_not_see_each_other(opened, open_page, server, run_files):
    pick(opened, "expected", run_files[0])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    other = open_page(server.url)
    other.get_by_test_id("compare-button").wait_for()
    assert names(other, "expected") == []


def test_two_tabs_of_one_browser_do_not_see_each_other(opened, open_page, server, run_files):
    pick(opened, "expected", run_files[0])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    other = open_in(open_page, opened.context, server)
    assert names(other, "expected") == []
    pick(other, "actual", run_files[1])
    expect(zone(other, "actual").get_by_test_id("side-file")).to_have_count(1)
    opened.reload()
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    assert names(opened, "actual") == []


def test_a_tab_that_was_doubled_gets_data_of_its_own(opened, open_page, server, run_files):
    pick(opened, "expected", run_files[0])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    stored = opened.evaluate("JSON.stringify(sessionStorage)")
    # What a browser does that doubles a tab: the same origin, the same stored words.
    other = open_page("about:blank", context=opened.context)
    other.add_init_script(f"""
        if (sessionStorage.length === 0)
            for (const [name, value] of Object.entries({stored})) sessionStorage.setItem(name, value);
    """)
    other.goto(server.address)
    other.get_by_test_id("compare-button").wait_for()
    assert names(other, "expected") == []
    assert other.evaluate("sessionStorage['outgrow.session']") != opened.evaluate(
        "sessionStorage['outgrow.session']"
    )


def test_without_the_token_the_page_asks_for_it(open_page, server, complaints):
    complaints.allow("401")
    page = open_page(server.address)
    expect(page.get_by_role("heading", name="This page needs its token")).to_be_visible()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("is not the server's")
    page.get_by_label("Token").fill(server.url)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_test_id("compare-button")).to_be_visible()


def test_a_forgotten_tab_begins_anew_and_says_so(opened, run_files, server, complaints):
    complaints.allow("404")
    pick(opened, "expected", run_files[0])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    opened.evaluate("""fetch("/api/session", {method: "DELETE", headers: {
        "Authorization": `Bearer ${sessionStorage["outgrow.token"]}`,
        "X-Outgrow-Session": sessionStorage["outgrow.session"],
    }})""")
    pick(opened, "actual", run_files[1])
    expect(opened.get_by_text("The server has forgotten this tab.")).to_be_visible()
    assert names(opened, "expected") == []
    opened.get_by_role("button", name="Close").first.click()
    pick(opened, "expected", run_files[0])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)


def test_numbers_asked_for_by_a_forgotten_tab_come_at_once(compared, complaints):
    complaints.allow("404")
    compared.get_by_test_id("first-divergence").click()
    shown = compared.get_by_test_id("value-expected").first
    expect(shown).to_be_visible()
    compared.evaluate("""fetch("/api/session", {method: "DELETE", headers: {
        Authorization: `Bearer ${sessionStorage["outgrow.token"]}`,
        "X-Outgrow-Session": sessionStorage["outgrow.session"],
    }})""")
    compared.get_by_test_id("slice-dim-1").fill("2")
    # Sooner than the page asks by itself whether it is still known.
    expect(shown).to_have_attribute("data-index", re.compile("^0,2,"), timeout=10_000)


def test_a_server_that_went_is_told_calmly_and_found_again(serve, open_page, run_files, complaints):
    complaints.allow("ERR_CONNECTION_REFUSED", "401", "404")
    first = serve(*run_files)
    page = open_page(first.url)
    page.get_by_test_id("verdict").wait_for()
    first.stop()
    page.locator("[data-name='0_key']").click()
    away = page.get_by_test_id("away-banner")
    expect(away).to_contain_text("The server does not answer.")
    assert page.get_by_test_id("tensor-row").count() > 10
    # Something else comes back there: another server, with another token.
    second = serve(*run_files, "--port", first.port)
    away.get_by_role("button", name="Try now").click()
    page.get_by_label("Token").fill(second.url)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_test_id("tensor-view")).to_contain_text("0_key")
    expect(away).to_have_count(0)


def test_an_upload_that_is_cut_off_is_told_and_can_be_sent_again(opened, run_files, complaints):
    complaints.allow("ERR_CONNECTION_RESET", "ERR_FAILED")
    opened.route("**/uploads*", lambda route: route.abort("connectionreset"), times=1)
    pick(opened, "expected", run_files[0])
    refused = opened.get_by_test_id("refused-file")
    expect(refused).to_contain_text("cut off")
    refused.get_by_role("button", name="Try again").click()
    expect(refused).to_have_count(0)
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)


def test_the_sides_can_be_exchanged(opened, run_files):
    for side, path in zip(("expected", "actual"), run_files, strict=True):
        pick(opened, side, path)
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(1)
    opened.get_by_test_id("swap-sides").click()
    expect(zone(opened, "expected")).to_contain_text("actual.safetensors")
    expect(zone(opened, "actual")).to_contain_text("expected.safetensors")


def test_nothing_is_asked_of_any_other_machine(compared, compared_server):
    asked = []
    compared.on("request", lambda request: asked.append(request.url))
    compared.reload()
    compared.get_by_test_id("verdict").wait_for()
    assert asked
    assert all(url.startswith((compared_server.address, "data:", "blob:")) for url in asked)


def test_nobody_else_listens(server):
    """On the loop-back address alone."""
    with socket.socket() as elsewhere:
        elsewhere.settimeout(1)
        assert elsewhere.connect_ex(("127.0.0.2", server.port)) != 0


def test_a_page_that_goes_away_says_so_and_finds_its_files_when_it_comes_back(opened, server, run_files):
    pick(opened, "expected", run_files[0])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    # What a page asks for while it goes is not told to whoever watches it.
    opened.evaluate("""const real = window.fetch;
        window.fetch = (...given) => {
            if (given[0] === "/api/session/leave") localStorage.told = given[1].method;
            return real(...given);
        };
        void 0;""")
    opened.goto("about:blank")
    opened.goto(server.address)
    assert opened.evaluate("localStorage.told") == "POST"
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
