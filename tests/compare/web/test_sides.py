"""Files of both sides through the API: uploads, their names and order, ranks and parts, what one tab may."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.compare.web.browsing import bare_bytes, browser, tensor_bytes


@pytest.fixture(scope="module")
def begin():
    with browser() as begin:
        yield begin


@pytest.fixture
def tab(begin):
    tab = begin()
    yield tab
    tab.fine("DELETE", "/session")


def verdict(tab, **settings):
    status = tab.compare(**settings)
    assert status["state"] == "ready", status
    return tab.fine("GET", "/verdict")


def failure(tab, **settings):
    status = tab.compare(**settings)
    assert status["state"] == "failed", status
    assert status["error"]["hint"]
    assert "/proc/" not in str(status)
    return status["error"]["message"]


def zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return out.getvalue()


def tar_gz(content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def npz():
    import numpy as np

    out = io.BytesIO()
    np.savez(out, a=np.arange(12.0))
    return out.getvalue()


FILES = {
    "x.safetensors": tensor_bytes(),
    "x.pth": bare_bytes(),
    "x.pt": bare_bytes(),
    "x.npz": npz(),
    "x.zip": zipped({"a.pth": bare_bytes(), "b.safetensors": tensor_bytes()}),
    "x.tar.gz": tar_gz({"run/a.pth": bare_bytes(), "run/b.pth": bare_bytes(1)}),
    "no suffix, a zip archive": zipped({"a.pth": bare_bytes()}),
    "no suffix, a torch file": bare_bytes(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_read_as_from_disk(tab, name):
    for side in ("expected", "actual"):
        item = tab.upload(side, name, FILES[name])
        assert (item["name"], item["bytes"], item["source"]) == (name, len(FILES[name]), "upload")
    found = verdict(tab)
    assert found["verdict"] == "match"
    assert found["expected"] == name
    assert found["refused"] == []


def test_a_file_that_differs_is_told(tab):
    tab.upload("expected", "x.pth", bare_bytes(0))
    tab.upload("actual", "x.pth", bare_bytes(1))
    assert verdict(tab)["verdict"] == "differ"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("x.pth", "x.pth"),
        ("run/layers/0/x.pth", "run/layers/0/x.pth"),
        ("../../etc/x.pth", "etc/x.pth"),
        ("/etc/x.pth", "etc/x.pth"),
        ("C:\\runs\\x.pth", "C:/runs/x.pth"),
        ("a\nb\x1b[2Jx.pth", "a\\nb\\x1b[2Jx.pth"),
        ("\u202egpj.pth", "\\u202egpj.pth"),
        (" x.pth ", "x.pth"),
        ("~/x.pth", "~/x.pth"),
        ("/proc/self/fd/1", "proc/self/fd/1"),
        ("schön <b>&.pth", "schön <b>&.pth"),
        ("d/" * 200 + "x.pth", "x.pth"),
        ("x" * 251 + ".pth", "x" * 251 + ".pth"),
    ],
)
def test_names_are_for_people_and_never_a_path(tab, given, shown):
    assert tab.upload("expected", given, bare_bytes())["name"] == shown
    tab.upload("actual", given, bare_bytes())
    if "fd" not in shown:
        assert verdict(tab)["verdict"] == "match"


@pytest.mark.parametrize("name", ["", "/", "..", "x" * 252 + ".pth"])
def test_a_name_that_is_none_is_refused(tab, name):
    told = tab.refused("POST", "/sides/expected/uploads", params={"name": name}, content=b"x")
    assert told[:2] == (400, "input")


def test_an_empty_file_is_refused_at_once(tab):
    told = tab.refused("POST", "/sides/expected/uploads", params={"name": "x.pth"}, content=b"")
    assert told[:2] == (422, "empty-file")
    assert tab.fine("GET", "/session")["sides"]["expected"] == []


def test_a_file_that_is_nothing_of_ours_is_refused_by_its_name(tab):
    tab.upload("expected", "letter.docx", b"hello" * 99)
    tab.upload("actual", "x.pth", bare_bytes())
    assert "letter.docx" in failure(tab)


@pytest.mark.parametrize("side", ["other", "Expected", "0"])
def test_there_are_two_sides(tab, side):
    assert tab.refused("POST", f"/sides/{side}/uploads", content=b"x")[0] == 404
    assert tab.refused("PUT", f"/sides/{side}", json={"items": []})[0] == 404


def test_a_side_that_is_empty_is_told(tab):
    assert tab.refused("POST", "/comparison", json={})[:2] == (400, "empty")
    tab.upload("expected", "x.pth", bare_bytes())
    assert "actual" in tab.refused("POST", "/comparison", json={})[2]["message"]


def test_single_tensors_are_parts_of_one_dump(tab):
    for side in ("expected", "actual"):
        for index in (10, 2, 0):
            tab.upload(side, f"{index}_query_final.pth", bare_bytes(index))
    found = verdict(tab)
    assert (found["verdict"], found["pairs"], len(found["actual"])) == ("match", 3, 1)
    names = tab.fine("GET", "/rows")["expected"]
    assert names == ["0_query_final", "2_query_final", "10_query_final"]


def test_files_in_folders_are_told_apart_by_their_folders(tab):
    for side in ("expected", "actual"):
        for layer in (0, 1):
            tab.upload(side, f"{side}/layers/{layer}/mlp.pth", bare_bytes(layer))
    found = verdict(tab)
    assert (found["verdict"], found["pairs"]) == ("match", 2)
    assert tab.fine("GET", "/rows")["expected"] == ["0/mlp", "1/mlp"]


def test_two_files_of_one_name_are_not_believed_as_parts(tab):
    tab.upload("expected", "a.pth", bare_bytes(0))
    tab.upload("expected", "b.pth", bare_bytes(1))
    for name in ("a.pth", "a.pth", "b.pth"):
        tab.upload("actual", name, bare_bytes(1))
    found = verdict(tab)
    assert found["pairs"] == 1
    assert "none is believed" in str(found["refused"])


def whole():
    generator = torch.Generator().manual_seed(0)
    return {
        f"layers.{layer}.{name}.weight": torch.randn(8, 6, generator=generator)
        for layer in range(3)
        for name in ("q_proj", "k_proj", "v_proj")
    }


def rank(number, of):
    return save({name: tensor.chunk(of)[number].clone() for name, tensor in whole().items()})


def test_files_of_the_same_names_are_ranks_in_natural_order(tab):
    tab.upload("expected", "whole.safetensors", save(whole()))
    for number in (10, 2, 0, 1):
        position = sorted((10, 2, 0, 1)).index(number)
        tab.upload("actual", f"part{number}.safetensors", rank(position, 4))
    found = verdict(tab)
    assert found["actual"] == [f"part{number}.safetensors" for number in (0, 1, 2, 10)]
    assert (found["verdict"], found["pairs"]) == ("match", 9)


def test_single_tensors_of_ranks_are_ranks(tab):
    tab.upload("expected", "hidden.pth", bare_bytes(0, 8, 6))
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(8, 6, generator=generator)
    for number, part in enumerate(tensor.chunk(2)):
        out = io.BytesIO()
        torch.save(part.clone(), out)
        tab.upload("actual", f"hidden_rank{number}.pth", out.getvalue())
    tab.compare()
    assert len(tab.fine("GET", "/verdict")["actual"]) == 2


def test_the_order_of_ranks_is_the_users(tab):
    tab.upload("expected", "whole.safetensors", save(whole()))
    first = tab.upload("actual", "a.safetensors", rank(1, 2))
    second = tab.upload("actual", "b.safetensors", rank(0, 2))
    body = {"items": [second["id"], first["id"]], "as": "ranks"}
    answer = tab.fine("PUT", "/sides/actual", json=body)
    assert answer == {"items": [second, first], "as": "ranks"}
    info = tab.fine("GET", "/session")
    assert info["sides"]["actual"] == [second, first]
    assert info["as"] == {"expected": "auto", "actual": "ranks"}
    found = verdict(tab)
    assert (found["actual"], found["verdict"]) == (["b.safetensors", "a.safetensors"], "match")


def test_numbered_files_of_a_checkpoint_are_one(tab):
    names = list(whole())
    tab.upload("expected", "whole.safetensors", save(whole()))
    for number, part in enumerate((names[:4], names[4:])):
        content = save({name: whole()[name] for name in part})
        tab.upload("actual", f"model-{number + 1:05}-of-00002.safetensors", content)
    found = verdict(tab)
    assert (found["verdict"], found["pairs"], len(found["actual"])) == ("match", 9, 1)


def test_files_of_different_names_are_parts(tab):
    tab.upload("expected", "x.safetensors", save(whole()))
    names = list(whole())
    for name, part in (("first", names[:5]), ("second", names[5:])):
        tab.upload("actual", f"{name}.safetensors", save({key: whole()[key] for key in part}))
    assert len(verdict(tab)["actual"]) == 1


def test_what_several_files_are_can_be_said(tab):
    tab.upload("expected", "a.pth", bare_bytes(0))
    items = [tab.upload("actual", f"{name}.pth", bare_bytes(0))["id"] for name in "ab"]
    tab.fine("PUT", "/sides/actual", json={"items": items, "as": "ranks"})
    assert len(verdict(tab)["actual"]) == 2
    tab.fine("PUT", "/sides/actual", json={"items": items, "as": "parts"})
    assert len(verdict(tab)["actual"]) == 1
    tab.upload("actual", "c.zip", zipped({"a.pth": bare_bytes()}))
    items = [item["id"] for item in tab.fine("GET", "/session")["sides"]["actual"]]
    tab.fine("PUT", "/sides/actual", json={"items": items, "as": "parts"})
    assert "'c.zip'" in failure(tab)


def test_several_ranks_are_not_expected(tab):
    tab.upload("actual", "whole.safetensors", save(whole()))
    for number in range(2):
        tab.upload("expected", f"{number}.safetensors", rank(number, 2))
    assert "2 ranks" in failure(tab)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": "x"},
        {"items": [1]},
        {"items": None},
        {"items": [], "as": "heads"},
        {"items": [], "as": ["ranks"]},
        [],
        "x",
        7,
    ],
)
def test_an_order_that_is_none_is_refused(tab, body):
    assert tab.refused("PUT", "/sides/actual", json=body)[:2] == (400, "input")


def test_an_order_names_every_file_once(tab):
    first, second = (tab.upload("actual", f"{name}.pth", bare_bytes())["id"] for name in "ab")
    for items in ([first], [first, first], [first, second, second], [first, "x"], []):
        assert tab.refused("PUT", "/sides/actual", json={"items": items})[:2] == (409, "items")


def test_a_file_that_is_removed_is_gone_and_what_was_compared_stays(tab):
    tab.upload("expected", "x.pth", bare_bytes(0))
    item = tab.upload("actual", "x.pth", bare_bytes(1))
    assert verdict(tab)["verdict"] == "differ"
    before = len(list(Path("/proc/self/fd").iterdir()))
    tab.fine("DELETE", f"/sides/actual/{item['id']}")
    assert tab.refused("DELETE", f"/sides/actual/{item['id']}")[:2] == (404, "item")
    # The descriptor must not become another file's while the comparison reads from it.
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    tab.upload("actual", "x.pth", bare_bytes(0))
    assert "float32" in str(tab.fine("GET", "/rows/0"))
    spec = {"fixed": [0, 0], "rows": 0, "columns": 1, "height": 4, "width": 5}
    body = {"view": "own", "expected": spec, "actual": spec}
    assert any(tab.fine("POST", "/rows/0/values", json=body)["differs"])
    assert verdict(tab)["verdict"] == "match"


def test_the_settings_are_those_of_the_command_line(tab):
    tab.upload("expected", "x.pth", bare_bytes(0))
    out = io.BytesIO()
    torch.save(torch.randn(4, 5, generator=torch.Generator().manual_seed(0)) * (1 + 1e-6), out)
    tab.upload("actual", "x.pth", out.getvalue())
    assert verdict(tab, exact=True)["verdict"] == "differ"
    assert verdict(tab, rtol=1e-3)["verdict"] == "match"
    assert verdict(tab, atol=1e-12, rtol=0)["verdict"] == "differ"
    assert "nothing" in failure(tab, only="other*")


@pytest.mark.parametrize(
    "settings",
    [
        {"rtol": -1},
        {"rtol": "1"},
        {"rtol": True},
        {"atol": [1]},
        {"exact": 1},
        {"exact": "yes"},
        {"only": 7},
        {"exact": True, "rtol": 0.1},
        {"speed": 9},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tab, settings):
    assert tab.refused("POST", "/comparison", json=settings)[:2] == (400, "input")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b"nonsense",
        b"[" * 200_000,
        b'{"rtol": NaN}',
        b'{"rtol": Infinity}',
        b'{"rtol": 1e999}',
        b"1" * 5000,
        b'{"rtol": ' + b"9" * 400 + b"}",
        b'{"rtol": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_object_is_refused(tab, content):
    assert tab.refused("POST", "/comparison", content=content)[:2] == (400, "input")


def test_a_body_has_an_end(tab):
    assert tab.refused("POST", "/comparison", content=b" " * (2**22 + 1))[:2] == (413, "too-large")


@pytest.mark.parametrize("after", ["-1", "x", "", "1e3", "9" * 13, "\u0663"])
def test_a_revision_is_a_whole_number(tab, after):
    assert tab.refused("GET", "/comparison", params={"after": after})[:2] == (400, "input")


def test_limits_of_an_upload_are_kept():
    with browser(max_upload_bytes=1000, max_session_bytes=2500, max_files=4) as begin:
        tab = begin()

        def refused(content):
            return tab.refused("POST", "/sides/actual/uploads", params={"name": "x"}, content=content)[:2]

        assert refused(b"x" * 1001) == (413, "too-large")
        assert refused(iter([b"x" * 600] * 2)) == (413, "too-large")
        first = tab.upload("expected", "x", b"x" * 1000)
        tab.upload("actual", "x", b"x" * 1000)
        assert refused(b"x" * 501) == (413, "too-large")
        other = begin()
        other.upload("actual", "x", b"x" * 1000)
        tab.fine("DELETE", f"/sides/expected/{first['id']}")
        tab.upload("actual", "x", b"x" * 1000)
        tab.upload("actual", "x", b"x")
        tab.upload("actual", "x", b"x")
        assert refused(b"x") == (429, "files")
        assert tab.fine("GET", "/session")["limits"]["max_upload_bytes"] == 1000


def test_paths_count_as_files_do(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"x")
    with browser(roots=(tmp_path,), max_files=2) as begin:
        tab, body = begin(), {"path": str(tmp_path / "x.pth")}
        tab.fine("POST", "/sides/expected/paths", json=body)
        tab.upload("actual", "x", b"x")
        assert tab.refused("POST", "/sides/actual/paths", json=body)[:2] == (429, "files")
        assert tab.refused("POST", "/sides/actual/uploads?name=x", content=b"x")[:2] == (429, "files")
