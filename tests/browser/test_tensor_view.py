"""One pair of tensors: the very numbers, and every slice of them."""

from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect

from tests.browser.number_runs import HUGE, cell, cells, first, number, settle
from tests.browser.runs import write_runs
from tests.browser.test_accessibility import violations

pytestmark = pytest.mark.browser


def test_the_first_ten_are_shown_with_the_own_indices_of_each_side(show, number_runs):
    page = show("0_query")
    expected, actual = (run["0_query"] for run in number_runs)
    assert cells(page) == [(f"0,0,0,{i}", number(expected[0, 0, 0, i])) for i in range(10)]
    assert cells(page, "actual") == [(f"0,0,{i}", number(actual[0, 0, i])) for i in range(10)]
    expect(page.get_by_test_id("value-difference")).to_have_count(10)


def test_sliders_and_boxes_lead_to_every_slice(show, number_runs):
    page = show("0_query")
    page.get_by_test_id("slice-dim-1").fill("2")
    page.get_by_test_id("slice-dim-2").fill("7")
    first(page, "0,2,7,0")
    assert cells(page)[3][1] == number(number_runs[0]["0_query"][0, 2, 7, 3])
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
    expect(cell(page, "expected", "0,0,1,1")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    first(page, "0,0,0,1")
    expect(cell(page, "expected", "0,0,1,10")).to_be_focused()
    page.keyboard.press("PageDown")
    expect(page.get_by_test_id("value-expected").first).to_have_attribute("data-index", "0,0,10,1")


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


def test_every_kind_of_number_is_shown_as_python_writes_it(show, row_of, number_runs):
    page = show("1_special")
    texts = {"2_ids": str(HUGE), "6_scalar": "0.125", "6_single": "7"}
    for name in ("2_ids", "2_mask", "3_complex", "4_fp8", "5_half", "6_scalar", "6_single", "7_twelve"):
        page.evaluate("row => void (location.hash = `row=${row}`)", row_of[name])
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        settle(page)
        value = number_runs[0][name]
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


def test_numbers_are_copied_as_python(show, number_runs):
    page = show("1_special", at="2,4")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Copy as Python").select_option(label="actual as a tensor")
    expect(page.get_by_text("copied actual as a tensor")).to_be_visible()
    copied = eval(page.evaluate("navigator.clipboard.readText()"))
    torch.testing.assert_close(copied, number_runs[1]["1_special"][2, 4:14], rtol=0, atol=0, equal_nan=True)
    page.get_by_label("Copy as Python").select_option(label="expected as an index")
    expect(page.get_by_text("copied expected as an index")).to_be_visible()
    expression = page.evaluate("navigator.clipboard.readText()")
    assert torch.equal(eval(expression, {"expected": number_runs[0]}), number_runs[0]["1_special"][2, 4:14])


def test_the_next_tensors_are_shown_at_the_same_place(show):
    page = show("1_special", at="2,3")
    page.get_by_test_id("tensor-next").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2_ids")
    first(page, "2,3")
    page.get_by_test_id("tensor-previous-different").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1_special")


@pytest.mark.slow
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


@pytest.fixture(scope="session")
def axe_source():
    """The source of axe-core."""
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text()


def test_nothing_keeps_people_out_however_it_is_shown(show, theme, axe_source):
    page = show("0_query", theme=theme, mode="plane", difference=1, dims="own")
    for part in ("statistics", "histogram"):
        page.get_by_test_id(part).locator("summary").click()
    page.get_by_test_id("jump-max").click()
    page.get_by_test_id("goto-index").fill("99")
    page.get_by_test_id("goto-index").press("Enter")
    cell(page, "actual", "7,2,11").focus()
    expect(page.get_by_role("tooltip")).to_be_visible()
    assert violations(page, axe_source) == "[]"


@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_is_wider_than_the_page(show, width):
    page = show("7_twelve", width=width, mode="plane", difference=1)
    expect(page.get_by_test_id("heatmap-expected")).to_have_attribute("data-drawn", "true")
    for mode in ("line", "flat", "plane"):
        page.get_by_test_id(f"mode-{mode}").click()
        settle(page)
        assert (
            page.evaluate("(main => main.scrollWidth - main.clientWidth)(document.querySelector('main'))")
            <= 0
        )
