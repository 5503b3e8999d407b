"""A list of very many tensors in the page, without files that hold them."""

import json
import re

STAGES = ("query", "key", "value", "post_attn", "pre_mlp", "post_mlp")


def many_rows(count, first_wrong):
    """Columns as the server sends them: a hundred tensors a layer, all of them wrong from one row on, and one
    that is there on one side only."""
    names = [f"model.layers.{row // 100}.mlp.experts.{row % 100}.gate_up_proj.weight" for row in range(count)]
    lone = count // 2
    return {
        "count": count,
        "expected": names,
        "actual": [None if row == lone else name for row, name in enumerate(names)],
        "status": [
            4 if row == lone else 0 if row < first_wrong else 1 if row == first_wrong else 2
            for row in range(count)
        ],
        "layer": [row // 100 for row in range(count)],
        "stage": [row % 100 * len(STAGES) // 100 for row in range(count)],
        "dtype": [row % 2 for row in range(count)],
        "shape": [0] * count,
        "error": [
            None if row == lone else (row % 97 + 1) * (1e-8 if row < first_wrong else 1e-3)
            for row in range(count)
        ],
        "max_abs": [None if row == lone else float(row % 89) for row in range(count)],
        "order": [None if row == lone else row for row in range(count)],
        "stages": list(STAGES),
        "dtypes": ["bfloat16", "float32"],
        "shapes": ["[4096, 4096]"],
    }


def show_many(page, url, count, *, first_wrong=None):
    """Open the page of a server as if its comparison had so many rows, each with the first one's numbers."""
    first_wrong = count * 3 // 5 if first_wrong is None else first_wrong
    answer = json.dumps(many_rows(count, first_wrong))

    def verdict(route):
        answered = route.fetch()
        route.fulfill(response=answered, json={**answered.json(), "first": first_wrong, "healed": None})

    def of_first_row(route):
        route.continue_(url=re.sub(r"/api/rows/\d+", "/api/rows/0", route.request.url))

    page.route(re.compile(r"/api/rows/\d+"), of_first_row)
    page.route(re.compile(r"/api/verdict$"), verdict)
    page.route(
        re.compile(r"/api/rows$"), lambda route: route.fulfill(body=answer, content_type="application/json")
    )
    page.goto(url)
    page.get_by_test_id("tensor-row").first.wait_for()
