"""The two drop zones, as people use them."""


def zone(page, side):
    return page.get_by_test_id(f"drop-{side}")


def pick(page, side, *paths):
    zone(page, side).locator("input[type=file]").set_input_files([str(path) for path in paths])


def drag(page, target, kind, files):
    """One event of dragging files, as `{name: content}`."""
    script = """([element, kind, files]) => {
        const data = new DataTransfer();
        for (const [name, text] of Object.entries(files)) data.items.add(new File([text], name));
        element.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(script, [target.element_handle(), kind, files])


def drop(page, target, files):
    """Drop files where a person would let go of them."""
    for kind in ("dragenter", "dragover", "drop"):
        drag(page, target, kind, files)


def names(page, side):
    return zone(page, side).get_by_test_id("side-file").locator(".name").all_inner_texts()


def compare_files(page, expected, actual):
    """Pick a file for each side, and wait for the verdict."""
    pick(page, "expected", expected)
    pick(page, "actual", actual)
    page.get_by_test_id("compare-button").click()
    page.get_by_test_id("verdict").wait_for()
