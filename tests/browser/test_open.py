"""Opening two runs on the page: dropped, picked, sent, arranged, refused, compared."""

import json
import re

import pytest
import torch
from playwright.sync_api import expect

from outgrow.store import write_safetensors
from tests.browser.runs import planted, write_zip
from tests.browser.zones import compare_files, drag, drop, names, pick, zone

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    expected, actual = planted()
    return write_zip(folder / "right.zip", expected), write_zip(folder / "wrong.zip", actual)


def test_two_archives_that_are_picked_come_to_a_verdict(opened, archives):
    button = opened.get_by_test_id("compare-button")
    expect(button).to_be_disabled()
    pick(opened, "expected", archives[0])
    expect(button).to_be_disabled()
    pick(opened, "actual", archives[1])
    button.click()
    expect(opened.get_by_test_id("verdict")).to_contain_text("They differ")
    expect(opened.get_by_test_id("first-divergence")).to_contain_text("2_post_attn")


def test_what_is_dropped_on_a_zone_is_of_its_side(opened):
    drop(opened, zone(opened, "actual"), {"b.npz": "x"})
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(1)
    assert names(opened, "actual") == ["b.npz"]
    assert names(opened, "expected") == []


def test_what_is_dropped_beside_the_zones_stays_on_the_page(opened):
    drop(opened, opened.locator("h1"), {"a.npz": "x"})
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)


def test_ranks_stand_in_the_order_of_their_numbers_and_can_be_moved(opened, tmp_path):
    for rank in (10, 2, 1):
        (tmp_path / f"rank{rank}.npz").write_bytes(b"x")
    pick(opened, "actual", *(tmp_path / f"rank{rank}.npz" for rank in (10, 2, 1)))
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(3)
    assert names(opened, "actual") == ["rank1.npz", "rank2.npz", "rank10.npz"]
    opened.get_by_label("Move rank10.npz up").click()
    expect(zone(opened, "actual").locator(".name").nth(1)).to_have_text("rank10.npz")
    opened.get_by_label("These are").select_option("ranks")
    expect(zone(opened, "actual").get_by_text("rank 1", exact=True)).to_be_visible()
    opened.get_by_label("Remove rank2.npz").click()
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(2)
    opened.reload()
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(2)
    assert names(opened, "actual") == ["rank1.npz", "rank10.npz"]


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(open_page, server, tmp_path):
    page = open_page("about:blank")
    sent = []

    def small(route):
        answer = route.fetch()
        content = answer.json()
        content["limits"]["max_upload_bytes"] = 10
        route.fulfill(response=answer, body=json.dumps(content))

    page.route("**/api/session", small)
    page.on("request", lambda request: sent.append(request.url) if "uploads" in request.url else None)
    page.goto(server.url)
    (tmp_path / "large.npz").write_bytes(b"x" * 11)
    pick(page, "expected", tmp_path / "large.npz")
    expect(page.get_by_test_id("refused-file")).to_contain_text("It has 11 B; one file may have 10 B.")
    expect(page.get_by_test_id("error-banner")).to_contain_text("large.npz")
    assert not sent
    page.get_by_label("Take large.npz off the page").click()
    expect(page.get_by_test_id("refused-file")).to_have_count(0)


def test_an_upload_shows_how_far_it_is_and_can_be_cancelled(opened, tmp_path):
    held = []
    opened.route(re.compile("/uploads"), lambda route: held.append(route))
    (tmp_path / "a.npz").write_bytes(b"x" * 5000)
    pick(opened, "expected", tmp_path / "a.npz")
    progress = opened.get_by_test_id("upload-progress")
    expect(progress).to_have_attribute("max", "5000")
    expect(opened.get_by_text("Sending 1 file")).to_be_visible()
    expect(opened.get_by_test_id("compare-button")).to_be_disabled()
    opened.get_by_role("button", name="Cancel", exact=True).click()
    expect(progress).to_have_count(0)
    expect(opened.get_by_test_id("error-banner")).to_have_count(0)
    assert names(opened, "expected") == []


def test_a_broken_file_is_told_calmly_and_the_next_one_works(opened, archives, tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and then nothing")
    pick(opened, "expected", tmp_path / "broken.zip")
    pick(opened, "actual", archives[1])
    opened.get_by_test_id("compare-button").click()
    banner = opened.get_by_test_id("error-banner")
    expect(banner).to_contain_text("broken.zip")
    assert "Traceback" not in banner.inner_text()
    assert "/proc" not in banner.inner_text()
    banner.get_by_role("button", name="Close").click()
    expect(banner).to_have_count(0)
    # What was tried is replaced, and no part of what comes next.
    pick(opened, "expected", archives[1])
    opened.get_by_test_id("compare-button").click()
    expect(opened.get_by_test_id("verdict")).to_contain_text("They match")


def test_settings_are_sent_with_the_comparison(opened, archives):
    for side, path in zip(("expected", "actual"), archives, strict=True):
        pick(opened, side, path)
    opened.get_by_text("How to compare").click()
    relative = opened.get_by_label("Relative tolerance")
    relative.fill("much")
    expect(opened.get_by_test_id("compare-button")).to_be_disabled()
    relative.fill("0.5")
    with opened.expect_request(
        lambda request: request.method == "POST" and "comparison" in request.url
    ) as sent:
        opened.get_by_test_id("compare-button").click()
    assert sent.value.post_data_json == {"rtol": 0.5}
    expect(opened.get_by_test_id("verdict")).to_contain_text("They match")


def test_others_can_be_opened_and_one_can_go_back(compared):
    compared.get_by_test_id("open-others").click()
    expect(zone(compared, "expected")).to_contain_text("expected.safetensors")
    compared.reload()
    expect(zone(compared, "expected")).to_be_visible()
    compared.get_by_role("button", name="Back to the verdict").click()
    expect(compared.get_by_test_id("verdict")).to_be_visible()


def test_a_file_over_two_runs_replaces_one_of_them(compared):
    main = compared.locator("main")
    drag(compared, main, "dragover", {"c.npz": "x"})
    expect(compared.get_by_test_id("drop-hint")).to_be_visible()
    drag(compared, main, "drop", {"c.npz": "x"})
    expect(compared.get_by_test_id("drop-hint")).to_have_count(0)
    # The main part begins left of the middle, where expected runs are dropped.
    expect(zone(compared, "expected").get_by_test_id("side-file")).to_have_text(re.compile("c.npz"))
    expect(zone(compared, "actual")).to_contain_text("actual.safetensors")


def test_names_of_files_are_text_and_nothing_else(opened, tmp_path):
    name = "<img src=x onerror=alert(1)>.npz"
    (tmp_path / name).write_bytes(b"x")
    pick(opened, "expected", tmp_path / name)
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(1)
    assert names(opened, "expected") == [name]
    assert opened.locator("img").count() == 0


def test_an_empty_file_is_refused_by_name(opened, tmp_path, complaints):
    complaints.allow("422")
    (tmp_path / "empty.npz").touch()
    pick(opened, "expected", tmp_path / "empty.npz")
    expect(opened.get_by_test_id("refused-file")).to_contain_text("the file is empty")
    expect(opened.get_by_test_id("error-banner")).to_contain_text("empty.npz")


def test_paths_below_a_root_are_opened_where_they_lie(serve, open_page, run_files):
    page = open_page(serve("--root", run_files[0].parent).url)
    page.get_by_role("button", name=str(run_files[0].parent)).click()
    page.get_by_label("expected.safetensors as expected").first.click()
    page.get_by_label("actual.safetensors as actual").first.click()
    page.get_by_test_id("compare-button").click()
    expect(page.get_by_test_id("verdict")).to_contain_text("They differ")


def test_a_comparison_shows_how_far_it_is_and_can_be_cancelled(opened, archives):
    status = {"state": "comparing", "revision": 7, "done": 2048, "total": 4096, "item": "1_query",
              "error": None, "seconds": 0}  # fmt: skip
    waiting, asked = [], []

    def answer(route):
        method = route.request.method
        asked.append(method)
        if method == "POST":
            route.fulfill(json=status, status=202)
        elif method == "DELETE":
            route.fulfill(json=status, status=202)
            waiting.pop().fulfill(json={**status, "state": "cancelled", "revision": 8})
        else:
            waiting.append(route)

    for side, path in zip(("expected", "actual"), archives, strict=True):
        pick(opened, side, path)
    expect(opened.get_by_test_id("compare-button")).to_be_enabled()
    opened.route(re.compile("/api/comparison"), answer)
    opened.get_by_test_id("compare-button").click()
    progress = opened.get_by_test_id("comparing")
    expect(progress).to_contain_text("1_query")
    expect(progress).to_contain_text("2.0 KiB of 4.0 KiB")
    progress.get_by_role("button", name="Cancel").click()
    expect(opened.get_by_test_id("compare-button")).to_be_enabled()
    expect(opened.get_by_test_id("error-banner")).to_have_count(0)
    assert asked.count("DELETE") == 1


def test_a_folder_of_files_is_one_dump(opened, tmp_path):
    # As long as somebody listens, the browser opens no window of its own.
    opened.on("filechooser", lambda chooser: None)
    for side, run in zip(("expected", "actual"), planted(layers=3), strict=True):
        folder = tmp_path / side / "dump"
        folder.mkdir(parents=True)
        (folder / ".hidden").write_text("x")
        for name, value in run.items():
            torch.save(value, folder / f"{name}.pth")
        with opened.expect_file_chooser() as chooser:
            zone(opened, side).get_by_role("button", name="a folder").click()
        chooser.value.set_files(folder)
        expect(zone(opened, side)).to_contain_text("15 files")
    opened.get_by_test_id("compare-button").click()
    expect(opened.get_by_test_id("verdict")).to_contain_text("'2_post_attn'")
    expect(opened.get_by_test_id("coverage")).to_contain_text("All of it: each of the 15 tensors")


def test_two_ranks_are_put_together(opened, tmp_path):
    generator = torch.Generator().manual_seed(0)
    whole = {f"{layer}_query": torch.randn(1, 8, 12, 16, generator=generator) for layer in range(4)}
    write_safetensors(tmp_path / "whole.safetensors", whole)
    ranks = [tmp_path / f"rank{rank}.safetensors" for rank in range(2)]
    for rank, path in enumerate(ranks):
        heads = slice(4 * rank, 4 * rank + 4)
        write_safetensors(path, {name: value[:, heads].contiguous() for name, value in whole.items()})
    pick(opened, "expected", tmp_path / "whole.safetensors")
    pick(opened, "actual", *ranks)
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(2)
    opened.get_by_label("These are").select_option("ranks")
    opened.get_by_test_id("compare-button").click()
    expect(opened.get_by_test_id("verdict")).to_contain_text("They match: 4 pairs, all numbers equal.")


def test_what_was_compared_is_replaced_unless_it_is_to_stay(opened, archives):
    compare_files(opened, *archives)
    opened.get_by_test_id("open-others").click()
    pick(opened, "actual", archives[0])
    expect(zone(opened, "actual")).to_contain_text("right.zip")
    assert names(opened, "actual") == ["right.zip"]
    pick(opened, "actual", archives[1])
    expect(zone(opened, "actual").get_by_test_id("side-file")).to_have_count(2)
    zone(opened, "expected").get_by_role("button", name="Add to these").click()
    pick(opened, "expected", archives[1])
    expect(zone(opened, "expected").get_by_test_id("side-file")).to_have_count(2)
