"""One pair of tensors: the very numbers, every slice of them, pictures of them, and the way to each."""

import math
import re

import httpx
import pytest
import torch
from playwright.sync_api import expect

from tests.browser.runs import write_runs
from tests.browser.served import Served

pytestmark = pytest.mark.browser

WORST = (0, 2, 7, 11)
HUGE = 2**53


def numbers():
    """Expected and actual: a tensor for each kind of number, and a planted one laid out otherwise."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    query = random(1, 3, 12, 16)
    turned = query.squeeze(0).permute(1, 0, 2).contiguous()
    turned[7, 2, 11] += 0.5
    turned[1, 0, 3] += 0.125
    special = random(6, 20)
    strange = special.clone()
    strange[2, 5], strange[4, 1], strange[5, 19] = math.nan, math.inf, -math.inf
    ids = torch.arange(24).reshape(4, 6) + HUGE
    twelve = random(2, 1, 2, 1, 3, 1, 2, 2, 1, 2, 1, 11)
    same = {
        "2_mask": random(9, 12) > 0,
        "3_complex": torch.randn(4, 12, dtype=torch.complex64, generator=generator),
        "4_fp8": random(4, 16).to(torch.float8_e4m3fn),
        "5_half": random(4, 16).bfloat16(),
        "6_scalar": torch.tensor(0.125),
        "6_single": torch.tensor([7]),
        "7_empty": torch.zeros(0, 5),
        "7_twelve": twelve,
        "8_long": torch.linspace(-1, 1, 5000),
    }
    expected = {"0_query": query, "1_special": special, "2_ids": ids, "9_apart": random(5, 7)} | same
    actual = {"0_query": turned, "1_special": strange, "2_ids": ids + 1, "9_apart": random(3, 11)} | same
    return expected | {"9_lone": random(12, 13)}, actual | {"9_other": random(3, 2)}


@pytest.fixture(scope="module")
def runs():
    return numbers()


@pytest.fixture(scope="module")
def numbers_server(web_environment, browser, runs, tmp_path_factory):
    """A server whose tabs begin with these runs."""
    served = Served(*write_runs(tmp_path_factory.mktemp("numbers"), *runs), env=web_environment)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def row_of(numbers_server):
    """The row of each name."""
    headers = {"Authorization": f"Bearer {numbers_server.token}"}
    with httpx.Client(base_url=numbers_server.address, headers=headers, timeout=30) as client:
        client.headers["X-Outgrow-Session"] = client.get("/api/session").json()["session"]
        revision = 0
        while (status := client.get("/api/comparison", params={"after": revision}).json())[
            "state"
        ] != "ready":
            revision = status["revision"]
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


def settle(page):
    """Wait until what is shown is what was asked for."""
    expect(page.locator(".values[aria-busy=true], .tensor .reading")).to_have_count(0)


def cells(page, side="expected"):
    found = page.get_by_test_id(f"value-{side}")
    return [(one.get_attribute("data-index"), one.inner_text()) for one in found.all()]


def cell(page, side, index):
    return page.locator(f'[data-testid=value-{side}][data-index="{index}"]')


def first(page, index, side="expected"):
    """Wait until the numbers begin there."""
    expect(page.get_by_test_id(f"value-{side}").first).to_have_attribute("data-index", index)


def test_the_first_ten_are_shown_with_the_own_indices_of_each_side(show, runs):
    page = show("0_query")
    expected, actual = (run["0_query"] for run in runs)
    assert cells(page) == [(f"0,0,0,{i}", number(expected[0, 0, 0, i])) for i in range(10)]
    assert cells(page, "actual") == [(f"0,0,{i}", number(actual[0, 0, i])) for i in range(10)]
    expect(page.get_by_test_id("value-difference")).to_have_count(10)


def number(value):
    return repr(float(str(value.numpy())))


def test_sliders_and_boxes_lead_to_every_slice(show, runs):
    page = show("0_query")
    page.get_by_test_id("slice-dim-1").fill("2")
    page.get_by_test_id("slice-dim-2").fill("7")
    first(page, "0,2,7,0")
    assert cells(page)[3][1] == number(runs[0]["0_query"][0, 2, 7, 3])
    first(page, "7,2,0", "actual")
    page.get_by_test_id("slice-slider-2").press("ArrowRight")
    first(page, "0,2,8,0")
    page.get_by_test_id("slice-dim-2").press("ArrowDown")
    first(page, "0,2,7,0")
    page.get_by_test_id("slice-dim-3").fill("99")
    first(page, "0,2,7,15")
    expect(page.get_by_test_id("slice-slider-0")).to_be_disabled()


def test_a_plane_has_a_window_of_ten_by_ten_for_each_side(show):
    page = show("0_query")
    page.get_by_test_id("mode-plane").click()
    expect(page.get_by_test_id("value-expected")).to_have_count(100)
    assert cells(page)[11][0] == "0,0,1,1"
    assert cells(page, "actual")[11][0] == "1,0,1"
    page.get_by_test_id("transpose").click()
    expect(page.get_by_test_id("value-expected").nth(1)).to_have_attribute("data-index", "0,0,1,0")
    page.get_by_label("expected dim 1 as rows").click()
    expect(page.get_by_test_id("value-expected")).to_have_count(30)


def test_a_flattened_tensor_goes_on_over_the_ends_of_dims(show):
    page = show("0_query", mode="flat", at="0,0,0,12")
    first(page, "0,0,0,12")
    assert [index for index, _ in cells(page)][3:6] == ["0,0,0,15", "0,0,1,0", "0,0,1,1"]
    page.get_by_role("button", name="next 10 numbers").click()
    first(page, "0,0,1,6")


def test_more_numbers_are_shown_on_demand(show):
    page = show("8_long")
    page.get_by_role("combobox", name="show").select_option("100")
    expect(page.get_by_test_id("value-actual")).to_have_count(100)
    page.get_by_label("difference", exact=True).uncheck()
    expect(page.get_by_test_id("value-difference")).to_have_count(0)
    first(page, "0")


def test_the_largest_difference_is_one_click_away(show):
    page = show("0_query")
    page.get_by_test_id("jump-max").click()
    wrong = cell(page, "actual", "7,2,11")
    expect(wrong).to_have_class(re.compile("differs.*found"))
    expect(cell(page, "expected", "0,2,7,11")).to_have_class(re.compile("found"))
    expect(page.get_by_test_id("search-message")).to_contain_text("[0, 2, 7, 11]")
    assert page.get_by_test_id("slice-dim-2").input_value() == "7"


def test_differences_follow_each_other_and_begin_anew(show):
    page = show("0_query", mode="plane")
    steps = []
    for _ in range(3):
        page.get_by_test_id("next-difference").click()
        settle(page)
        steps.append(page.get_by_test_id("search-message").inner_text())
    assert "[0, 0, 1, 3]" in steps[0]
    assert "[0, 2, 7, 11]" in steps[1]
    assert "[0, 0, 1, 3]" in steps[2]
    assert "gone on from the beginning" in steps[2]
    page.get_by_test_id("previous-difference").click()
    expect(page.get_by_test_id("search-message")).to_contain_text("[0, 2, 7, 11]")


def test_values_are_searched_forwards_backwards_and_around(show, runs):
    page = show("1_special")
    box, said = page.get_by_test_id("search-input"), page.get_by_test_id("search-message")
    box.fill("nan")
    box.press("Enter")
    expect(said).to_have_text("NaN at [2, 5], 1 in all")
    expect(cell(page, "actual", "2,5")).to_have_text("nan")
    page.get_by_test_id("search-next").click()
    expect(said).to_contain_text("gone on from the beginning")
    box.fill("-inf")
    page.get_by_test_id("search-next").click()
    expect(said).to_have_text("-inf at [5, 19], 1 in all")
    box.fill(number(runs[0]["1_special"][3, 4]))
    page.get_by_test_id("search-previous").click()
    expect(said).to_contain_text("[3, 4]")
    large = int((runs[0]["1_special"] >= 1).sum())
    box.fill(">1")
    page.get_by_label("Search in").select_option("expected")
    page.get_by_test_id("search-next").click()
    expect(said).to_contain_text(f"{large} in all")
    box.fill("50..60")
    page.get_by_test_id("search-next").click()
    expect(said).to_have_text("50 to 60: not found")
    box.fill("five")
    page.get_by_test_id("search-next").click()
    expect(said).to_have_text("five is no number")


def test_any_index_can_be_gone_to(show):
    page = show("0_query")
    box = page.get_by_test_id("goto-index")
    box.fill("0, 1, -1, 5")
    box.press("Enter")
    expect(cell(page, "expected", "0,1,11,5")).to_be_visible()
    box.fill("0, 1, 12, 5")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("dim 2 goes from 0 to 11")


def test_what_is_pointed_at_tells_everything_also_by_keyboard(show):
    page = show("0_query", at="0,2,7,8")
    cell(page, "expected", "0,2,7,11").hover()
    tip = page.get_by_role("tooltip")
    for text in ("0, 2, 7, 11", "7, 2, 11", "differs"):
        expect(tip).to_contain_text(text)
    page.mouse.move(0, 0)
    expect(tip).to_have_count(0)
    page.get_by_test_id("value-expected").first.focus()
    expect(tip).to_contain_text("0, 2, 7, 8")
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)


def test_arrows_go_from_number_to_number_and_move_the_window(show):
    page = show("0_query", mode="plane")
    page.get_by_test_id("value-expected").first.focus()
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.index") == "0,0,1,1"
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    first(page, "0,0,0,1")
    expect(cell(page, "expected", "0,0,1,10")).to_be_focused()
    page.keyboard.press("PageDown")
    expect(page.get_by_test_id("value-expected").first).to_have_attribute("data-index", "0,0,10,1")


def test_pictures_are_drawn_of_both_sides_and_of_the_difference(show):
    page = show("0_query", at="0,2,0,0")
    for which in ("expected", "actual", "difference"):
        canvas = page.get_by_test_id(f"heatmap-{which}")
        expect(canvas).to_have_attribute("data-drawn", "true")
        assert colours(canvas) > (20 if which != "difference" else 1)
    expect(page.get_by_test_id("heatmap-difference")).to_have_attribute(
        "aria-label", re.compile(r"to 0\.5, largest magnitude at 0, 2, 7, 11")
    )


def colours(canvas):
    return canvas.evaluate(
        """canvas => {
          const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          return new Set(new Uint32Array(pixels.buffer)).size;
        }"""
    )


def test_a_click_on_a_picture_shows_the_numbers_there(show):
    page = show("0_query", mode="plane", at="0,2,0,0")
    canvas = page.get_by_test_id("heatmap-difference")
    box = canvas.bounding_box()
    place = {"x": box["width"] * 11.5 / 16, "y": box["height"] * 7.5 / 12}
    canvas.hover(position=place)
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("0, 2, 7, 11")
    canvas.click(position=place)
    first(page, "0,2,7,11")
    first(page, "7,2,11", "actual")


def test_zooming_asks_for_finer_pictures_and_keys_do_all_of_it(show):
    page = show("8_long")
    canvas = page.get_by_test_id("heatmap-expected")
    canvas.focus()
    with page.expect_request("**/tile") as asked:
        page.keyboard.press("+")
    assert asked.value.post_data_json["expected"]["height"] < 40
    expect(page).to_have_url(re.compile("zoom="))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("zoom="))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("value-expected").first).not_to_have_attribute("data-index", "0")


def test_sides_that_lie_apart_have_their_own_indices(show):
    page = show("0_query", dims="own")
    page.get_by_test_id("slice-dim-1").fill("1")
    page.get_by_test_id("slice-actual-dim-0").fill("4")
    first(page, "0,1,0,0")
    first(page, "4,0,0", "actual")
    page.get_by_test_id("slice-actual-slider-1").press("ArrowRight")
    first(page, "4,1,0", "actual")
    page.get_by_test_id("jump-max").click()
    expect(cell(page, "expected", "0,2,7,11")).to_be_visible()
    expect(cell(page, "actual", "7,2,11")).to_be_visible()


def test_a_reload_returns_to_the_same_view(show):
    page = show("0_query")
    page.get_by_test_id("mode-plane").click()
    page.get_by_test_id("slice-dim-1").fill("2")
    page.get_by_label("expected dim 1 as rows").click()
    page.get_by_test_id("log-scale").check()
    settle(page)
    before = cells(page)
    page.reload()
    page.get_by_test_id("value-expected").first.wait_for()
    settle(page)
    assert cells(page) == before
    expect(page.get_by_test_id("log-scale")).to_be_checked()


def test_every_kind_of_number_is_shown_as_python_writes_it(show, row_of, runs):
    page = show("1_special")
    texts = {"2_ids": str(HUGE), "6_scalar": "0.125", "6_single": "7"}
    for name in ("2_ids", "2_mask", "3_complex", "4_fp8", "5_half", "6_scalar", "6_single", "7_twelve"):
        page.evaluate("row => void (location.hash = `row=${row}`)", row_of[name])
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        settle(page)
        value = runs[0][name]
        found = cells(page)
        assert len(found) == min(10, value.numel()), name
        assert found[0][0] == ",".join("0" * value.ndim), name
        assert found[0][1] == texts.get(name, found[0][1])
        read = complex(found[-1][1]) if value.is_complex() else eval(found[-1][1])
        index = tuple(int(entry) for entry in found[-1][0].split(",") if entry)
        assert torch.tensor(read).to(value.dtype) == value[index], name


def test_integers_beyond_what_a_browser_counts_are_exact(show):
    page = show("2_ids")
    assert cells(page)[1] == ("0,1", str(HUGE + 1))
    assert cells(page, "actual")[1] == ("0,1", str(HUGE + 2))
    assert cells(page, "difference")[1][1] == "1"


def test_a_tensor_without_numbers_says_so(show):
    page = show("7_empty")
    expect(page.get_by_text("There are no numbers in it")).to_be_visible()
    assert page.locator("canvas[data-testid^=heatmap]").count() == 0


@pytest.mark.parametrize(("name", "side"), [("9_lone", "expected"), ("9_other", "actual")])
def test_a_tensor_of_one_side_is_shown_alone(show, name, side):
    page = show(name)
    expect(page.get_by_test_id(f"value-{side}")).not_to_have_count(0)
    other = "actual" if side == "expected" else "expected"
    expect(page.get_by_test_id(f"value-{other}")).to_have_count(0)
    page.get_by_test_id("slice-dim-0").fill("2")
    expect(page.get_by_test_id(f"value-{side}").first).to_have_attribute("data-index", "2,0")
    expect(page.get_by_test_id("jump-max")).to_be_disabled()
    page.get_by_test_id("search-input").fill(">-100")
    page.get_by_test_id("search-next").click()
    expect(page.get_by_test_id("search-message")).to_contain_text("in all")


def test_a_pair_that_cannot_be_laid_out_is_shown_side_by_side(show):
    page = show("9_apart")
    expect(page.get_by_test_id("slice-dim-1")).to_be_visible()
    page.get_by_test_id("slice-actual-dim-1").fill("3")
    first(page, "0,3", "actual")
    first(page, "0,0")


def test_numbers_are_copied_as_python(show, runs):
    page = show("1_special", at="2,4")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Copy as Python").select_option(label="actual as a tensor")
    expect(page.get_by_text("copied actual as a tensor")).to_be_visible()
    copied = eval(page.evaluate("navigator.clipboard.readText()"))
    torch.testing.assert_close(copied, runs[1]["1_special"][2, 4:14], rtol=0, atol=0, equal_nan=True)
    page.get_by_label("Copy as Python").select_option(label="expected as an index")
    expect(page.get_by_text("copied expected as an index")).to_be_visible()
    expression = page.evaluate("navigator.clipboard.readText()")
    assert torch.equal(eval(expression, {"expected": runs[0]}), runs[0]["1_special"][2, 4:14])


def test_figures_and_histogram_are_folded_away(show):
    page = show("1_special")
    figures = page.get_by_test_id("statistics")
    assert figures.get_attribute("open") is None
    figures.locator("summary").click()
    expect(figures).to_contain_text("cosine")
    histogram = page.get_by_test_id("histogram")
    histogram.locator("summary").click()
    expect(histogram.locator("svg[role=img]")).to_have_count(2)
    expect(histogram).to_contain_text("NaN: 0 expected, 1 actual")
    expect(histogram).to_contain_text("Inf: 0 expected, 2 actual")


def test_the_next_tensors_are_shown_at_the_same_place(show):
    page = show("1_special", at="2,3")
    page.get_by_test_id("tensor-next").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2_ids")
    first(page, "2,3")
    page.get_by_test_id("tensor-previous-different").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1_special")


def test_the_keys_of_the_page_lead_to_differences(show):
    page = show("0_query")
    page.keyboard.press("m")
    expect(cell(page, "expected", "0,2,7,11")).to_be_focused()
    page.keyboard.press("n")
    expect(cell(page, "expected", "0,0,1,3")).to_be_focused()
    page.keyboard.press("Shift+N")
    expect(cell(page, "expected", "0,2,7,11")).to_be_focused()


def test_each_rank_is_looked_at_by_itself_or_all_as_one(open_page, serve, tmp_path):
    whole = {"0_query": torch.arange(64.0).reshape(4, 16)}
    ranks = [
        {"0_query": whole["0_query"][:, :8].contiguous()},
        {"0_query": whole["0_query"][:, 8:].contiguous()},
    ]
    paths = [write_runs(tmp_path / str(rank), whole, tensors) for rank, tensors in enumerate(ranks)]
    page = open_page(serve(paths[0][0], paths[0][1], paths[1][1]).url + "&row=0&at=1,4")
    first(page, "1,4", "expected")
    found = cells(page, "actual")
    assert [index for index, _ in found] == [*(f"1,{i}" for i in range(4, 8)), *(f"1,{i}" for i in range(6))]
    assert [float(text) for _, text in found] == whole["0_query"][1, 4:14].tolist()
    expect(page.get_by_text("rank 1: 1, 1", exact=True)).to_be_visible()
    page.get_by_test_id("mapping-manual").click()
    page.get_by_test_id("rank").select_option("1")
    page.get_by_test_id("slice-actual-dim-0").fill("2")
    first(page, "2,0", "actual")
    assert cells(page, "actual")[0] == ("2,0", "40.0")
