"""Two runs and the page's calls for their numbers."""

from tests.compare.view.two_runs import numbers, two_runs


def permuted_runs():
    """Two runs that differ in one place of a tensor whose axes are in another order."""
    expected, actual = two_runs()
    expected["3_key"] = numbers(3, 4, 5)
    actual["3_key"] = expected["3_key"].permute(2, 0, 1).contiguous()
    actual["3_key"][4, 1, 2] += 7
    return expected, actual


def spec(*fixed, **more):
    return {"fixed": list(fixed), **more}


def row_of(tab, name, side="expected"):
    return tab.get("/rows").json()[side].index(name)


def values(tab, name, body, side="expected"):
    answer = tab.post(f"/rows/{row_of(tab, name, side)}/values", body)
    assert answer.status_code == 200, answer.text
    return answer.json()
