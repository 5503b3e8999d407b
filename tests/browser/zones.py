"""The two drop zones, as people use them."""


def zone(page, side):
    return page.get_by_test_id(f"drop-{side}")


def pick(page, side, *paths):
    zone(page, side).locator("input[type=file]").set_input_files([str(path) for path in paths])


def drop(page, target, files):
    """Drop files, as `{name: content}`, where a person would let go of them."""
    script = """([element, files]) => {
        const data = new DataTransfer();
        for (const [name, text] of Object.entries(files)) data.items.add(new File([text], name));
        for (const kind of ["dragenter", "dragover", "drop"])
            element.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(script, [target.element_handle(), files])


def names(page, side):
    return zone(page, side).get_by_test_id("side-file").locator(".name").all_inner_texts()
