"""What of this machine the page may look at: what lies below the roots, links looked through first."""

import os
import time
from pathlib import Path

import pytest
import torch

from outgrow.capture import record
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.roots import Roots
from outgrow.errors import InputError
from tests.compare.web.browsing import bare_bytes, browser


@pytest.fixture
def tree(tmp_path):
    """`root` and what is beside it."""
    root = tmp_path / "root"
    (root / "runs" / "old").mkdir(parents=True)
    (root / "runs" / "x.pth").write_bytes(bare_bytes())
    (root / "runs" / "10.zip").write_bytes(b"PK")
    (root / "runs" / "2.zip").write_bytes(b"PK")
    (root / "runs" / "notes.txt").write_text("x")
    (root / "runs" / ".hidden.pth").write_text("x")
    (root / "many").mkdir()
    for index in range(6):
        (root / "many" / f"{index}_query.pth").write_bytes(bare_bytes(index))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.pth").write_bytes(bare_bytes())
    (tmp_path / "root-not").mkdir()
    (tmp_path / "root-not" / "x.pth").write_bytes(bare_bytes())
    (root / "way-out").symlink_to(outside)
    (root / "way-out.pth").symlink_to(outside / "secret.pth")
    (root / "way-up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "inside.pth").symlink_to("runs/x.pth")
    (root / "dangling.pth").symlink_to("nowhere")
    os.mkfifo(root / "pipe.pth")
    return root


@pytest.fixture
def recording(tree):
    model = torch.nn.Linear(3, 3)
    with record(model, tree / "recorded"):
        model(torch.ones(2, 3))
    return tree / "recorded"


@pytest.fixture
def tab(tree):
    with browser(roots=(tree,)) as begin:
        yield begin()


def test_what_lies_below_is_found(tree):
    roots = Roots([tree])
    assert roots.folders == (tree.resolve(),)
    assert roots.find(str(tree)) == tree
    assert roots.find(str(tree / "runs" / "x.pth")) == tree / "runs" / "x.pth"
    assert roots.find(f"{tree}/runs/../many") == tree / "many"
    assert roots.find(str(tree / "inside.pth")) == tree / "runs" / "x.pth"


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/etc/passwd",
        "{root}/..",
        "{root}/../outside/secret.pth",
        "{root}/../root-not/x.pth",
        "{root}-not/x.pth",
        "{root}/way-out",
        "{root}/way-out/secret.pth",
        "{root}/way-out.pth",
        "{root}/way-up/outside/secret.pth",
        "{root}/runs/../../outside",
        "runs/x.pth",
        ".",
        "",
        "~",
        "/proc/self/root",
        "/proc/self/cwd",
        "{root}/../nothing",
        "/nothing/at/all",
    ],
)
def test_what_lies_elsewhere_is_refused_whether_it_is_there_or_not(tree, text):
    with pytest.raises(ApiError) as caught:
        Roots([tree]).find(text.format(root=tree))
    assert (caught.value.status, caught.value.code) == (403, "root")
    assert "--root" in caught.value.hint


def test_a_path_is_not_looked_for_where_the_server_was_started(tree, monkeypatch):
    monkeypatch.chdir(tree)
    with pytest.raises(ApiError, match="may open"):
        Roots([tree]).find("runs/x.pth")


@pytest.mark.parametrize("text", ["{root}/nothing", "{root}/loop", "{root}/dangling.pth", "{root}/\0x"])
def test_what_is_not_there_is_told(tree, text):
    with pytest.raises(ApiError) as caught:
        Roots([tree]).find(text.format(root=tree))
    assert (caught.value.status, caught.value.code) == (404, "path")


def test_without_roots_nothing_may_be_opened(tree):
    with pytest.raises(ApiError, match="may open"):
        Roots([]).find(str(tree))


def test_a_root_may_be_a_link_itself(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    roots = Roots([tmp_path / "link", tree])
    assert roots.folders == (tree,)
    assert roots.find(f"{tmp_path}/link/runs/x.pth") == tree / "runs" / "x.pth"


@pytest.mark.parametrize("name", ["nothing", "runs/x.pth", "loop"])
def test_a_root_is_a_folder(tree, name):
    with pytest.raises(InputError) as caught:
        Roots([tree / name])
    assert caught.value.hint


def test_a_folder_is_listed(tab, tree, recording):
    found = tab.fine("GET", "/places", params={"path": str(tree)})
    assert (found["path"], found["parent"], found["left_out"]) == (str(tree), None, 0)
    kinds = {entry["name"]: entry["kind"] for entry in found["entries"]}
    assert kinds == {
        "many": "folder",
        "runs": "folder",
        "recorded": "recording",
        "inside.pth": "dump",
        "pipe.pth": "other",
    }
    assert list(kinds)[:2] == ["many", "runs"]
    found = tab.fine("GET", "/places", params={"path": str(tree / "runs")})
    assert found["parent"] == str(tree)
    assert [(entry["name"], entry["kind"]) for entry in found["entries"]] == [
        ("old", "folder"),
        ("2.zip", "dump"),
        ("10.zip", "dump"),
        ("notes.txt", "other"),
        ("x.pth", "dump"),
    ]
    entry = found["entries"][-1]
    assert entry["path"] == str(tree / "runs" / "x.pth")
    assert entry["bytes"] == (tree / "runs" / "x.pth").stat().st_size
    assert abs(entry["changed"] - time.time()) < 600


def test_names_of_files_are_printable(tab, tree):
    (tree / "runs" / "old" / "a\x1b[2Jb.pth").write_bytes(b"x")
    os.close(os.open(os.fsencode(tree / "runs" / "old") + b"/\xff.pth", os.O_CREAT | os.O_WRONLY))
    found = tab.fine("GET", "/places", params={"path": str(tree / "runs" / "old")})
    names = {entry["name"] for entry in found["entries"]}
    # What is no text has no place in JSON or in an address.
    assert names == {"a\\x1b[2Jb.pth"}
    assert tab.refused("POST", "/sides/actual/paths", content=b'{"path": "\\udcff"}')[:2] == (403, "root")


def test_the_latest_come_first(tab, tree, recording):
    os.utime(tree / "runs" / "2.zip", (1, 1000))
    os.utime(tree / "runs" / "x.pth", (1, 2000))
    for index in range(6):
        os.utime(tree / "many" / f"{index}_query.pth", (1, 3000 + index))
    found = tab.fine("GET", "/places")
    assert found["roots"] == [str(tree)]
    recent = [Path(entry["path"]).name for entry in found["recent"]]
    # Six files of tensors in a folder are one dump; a link is the file that it leads to.
    assert recent == ["10.zip", "many", "x.pth", "x.pth", "2.zip"]
    assert found["recent"][1]["changed"] == 3005
    assert [entry["name"] for entry in found["recordings"]] == ["recorded"]


def test_without_roots_there_are_no_places():
    with browser() as begin:
        tab = begin()
        assert tab.fine("GET", "/places") == {"roots": [], "recent": [], "recordings": []}
        assert tab.refused("GET", "/places", params={"path": "/"})[:2] == (403, "root")
        assert tab.refused("POST", "/sides/actual/paths", json={"path": "/etc/passwd"})[:2] == (403, "root")


def test_looking_for_what_was_changed_ends(tmp_path, monkeypatch):
    from outgrow.compare.web import places

    for index in range(50):
        (tmp_path / f"{index}").mkdir()
        (tmp_path / f"{index}" / "x.pth").write_bytes(b"x")
    (tmp_path / "0" / "up").symlink_to("..")
    assert len(places.found_below(Roots([tmp_path]))["recent"]) == 20
    monkeypatch.setattr(places, "_LOOK_SECONDS", 0.0)
    assert places.found_below(Roots([tmp_path]))["recent"] == []


def test_a_folder_of_very_many_files_is_listed_in_part(tab, tree, monkeypatch):
    from outgrow.compare.web import places

    monkeypatch.setattr(places, "_MOST_ENTRIES", 4)
    found = tab.fine("GET", "/places", params={"path": str(tree / "many")})
    assert (len(found["entries"]), found["left_out"]) == (4, 2)


def test_a_file_is_no_folder(tab, tree):
    path = str(tree / "runs" / "x.pth")
    assert tab.refused("GET", "/places", params={"path": path})[:2] == (400, "input")


def test_files_folders_and_recordings_are_opened(tab, tree, recording):
    item = tab.fine("POST", "/sides/expected/paths", json={"path": str(tree / "runs" / "x.pth")})
    assert (item["name"], item["source"]) == ("x.pth", "path")
    tab.upload("actual", "x.pth", bare_bytes())
    assert tab.compare()["state"] == "ready"
    assert tab.fine("GET", "/verdict")["verdict"] == "match"
    for path in (tree / "many", recording):
        other = tab  # one tab, another comparison
        for side in ("expected", "actual"):
            for old in other.fine("GET", "/session")["sides"][side]:
                other.fine("DELETE", f"/sides/{side}/{old['id']}")
            other.fine("POST", f"/sides/{side}/paths", json={"path": str(path)})
        assert other.compare()["state"] == "ready"
        assert other.fine("GET", "/verdict")["verdict"] == "match"


@pytest.mark.parametrize("path", ["/etc/passwd", "{root}/way-out.pth", "{root}/../outside/secret.pth"])
def test_what_lies_elsewhere_is_not_opened(tab, tree, path):
    body = {"path": path.format(root=tree)}
    assert tab.refused("POST", "/sides/actual/paths", json=body)[:2] == (403, "root")
    assert tab.refused("GET", "/places", params=body)[:2] == (403, "root")


@pytest.mark.parametrize("body", [{}, {"path": 7}, {"path": None}, {"path": ["/"]}])
def test_a_path_is_text(tab, body):
    assert tab.refused("POST", "/sides/actual/paths", json=body)[:2] == (400, "input")


def test_a_folder_that_became_a_link_meanwhile_is_refused(tab, tree, tmp_path):
    tab.fine("POST", "/sides/expected/paths", json={"path": str(tree / "runs" / "x.pth")})
    tab.upload("actual", "x.pth", bare_bytes())
    (tree / "runs" / "x.pth").unlink()
    (tree / "runs" / "x.pth").symlink_to(tmp_path / "outside" / "secret.pth")
    status = tab.compare()
    assert status["state"] == "failed"
    assert "may open" in status["error"]["message"]


def test_links_below_a_folder_are_not_followed(tab, tree, tmp_path):
    (tree / "runs" / "sneaky.pth").symlink_to(tmp_path / "outside" / "secret.pth")
    tab.fine("POST", "/sides/expected/paths", json={"path": str(tree / "runs")})
    tab.upload("actual", "x.pth", bare_bytes())
    assert tab.compare()["state"] == "ready"
    assert "sneaky.pth" in str(tab.fine("GET", "/verdict")["refused"])
    rows = tab.fine("GET", "/rows")
    assert rows["status"][rows["expected"].index("sneaky.pth")] == 6


def test_a_pipe_is_not_waited_for(tab, tree):
    tab.fine("POST", "/sides/expected/paths", json={"path": str(tree / "pipe.pth")})
    tab.upload("actual", "x.pth", bare_bytes())
    status = tab.compare()
    assert status["state"] == "failed"
    assert "pipe" in status["error"]["message"]
