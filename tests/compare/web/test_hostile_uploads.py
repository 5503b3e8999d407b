"""Every file made to harm, dropped on the page: a calm word on it, and a server that lives on.

What the readers do with each is tested beside them; here it is the way through upload, comparison and
verdict.
"""

import json
import tempfile

import pytest

from tests.compare.readers import hostile_archives as archives
from tests.compare.readers import hostile_files as files
from tests.compare.web.browsing import browser, tensor_bytes

# Made or refused in a second and more; the others show the way as well.
HEAVY = {
    *files.HEAVY,
    "zip of 120,000 entries",
    "tar of 120,000 entries",
    "tar.gz of 120,000 entries",
    "bombs together",
    "gzip of empty streams",
    "extended headers in a row",
    "a shape of millions of dims, often",
    "billion laughs",
    "120,000 numbers",
    "120,000 tensors in a header",
    "deep tuples",
    "a deep tuple as a key",
    "deflated zeros",
    "many deflated zeros",
    "laughs without tensors",
    "bomb of 200 MB",
    "none of millions",
    "a key of megabytes, often",
}
# Within today's limits after all: read to the end, and found to hold no tensors.
UNDERSTOOD = ("millions of memos.pth", "marks without end.pth")
CASES = {
    **{f"{name}.zip": (made[0], made[1], name) for name, made in archives.REFUSED.items()},
    **{f"{name}.tar.gz": (made[0], made[1], name) for name, made in archives.RAISED.items()},
    **{f"{name}.tar": (made[0], made[1], name) for name, made in archives.CUT.items()},
    **{f"{name}{suffix}": (make, says, name) for name, (suffix, make, says) in files.CASES.items()},
}


@pytest.fixture(scope="module")
def begin():
    with browser() as begin:
        yield begin


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if CASES[name][2] in HEAVY else []) for name in CASES],
)
def test_a_file_made_to_harm_is_refused_calmly(begin, temporary, capfd, name):
    make, says, _ = CASES[name]
    # Either side in turn: both are opened in the same way.
    side, other = [("expected", "actual"), ("actual", "expected")][list(CASES).index(name) % 2]
    tab = begin()
    tab.upload(side, name, make())
    tab.upload(other, "fine.safetensors", tensor_bytes(1))
    status = tab.compare()
    told = ""
    if status["state"] == "ready":
        told += json.dumps(tab.fine("GET", "/verdict"))
        assert tab.call("GET", "/report.html").status_code == 200
        assert tab.call("GET", "/report.json").status_code == 200
    else:
        assert status["state"] == "failed"
        told = "{message} {hint}".format(**status["error"])
        assert status["error"]["hint"]
    assert "fault in outgrow" not in told
    assert "/proc/" not in told
    if name not in UNDERSTOOD:
        assert any(part in told for part in says.split("|")), told[:1000]
    # The tab goes on with another file.
    item = tab.fine("GET", "/session")["sides"][side][0]
    tab.fine("DELETE", f"/sides/{side}/{item['id']}")
    tab.upload(side, "fine.safetensors", tensor_bytes(1))
    assert tab.compare()["state"] == "ready"
    tab.fine("DELETE", "/session")
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in capfd.readouterr().err
