"""`outgrow web`: what is wrong is told before anything listens; the rest is in tests/compare/web."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from outgrow.cli.main import main
from tests.compare.web.serving import eventually, serving


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run.safetensors"
    save_file({"a": torch.ones(2, 3)}, path)
    return path


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    """Nothing here comes so far."""
    from outgrow.compare.web import Server

    monkeypatch.setattr(Server, "serve", lambda *_, **__: pytest.fail("it listens"))


def test_help_looks_as_it_did(capsys, golden, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["web", "--help"]) == 0
    golden("help-web.txt", capsys.readouterr().out)


def refused(capsys, *arguments):
    assert main(["web", "--no-browser", "--port", "0", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return " ".join(err.split())


def test_one_run_alone_is_none(capsys, run):
    assert "there is no actual run" in refused(capsys, run)


def test_a_run_that_is_not_there_is_told(capsys, run, tmp_path):
    assert "does not exist" in refused(capsys, run, tmp_path / "nothing")
    assert "does not exist" in refused(capsys, tmp_path / "nothing", run)
    assert f"there is {run.name!r}" in refused(capsys, run, run.with_name(run.name[:-1]))
    assert "is empty" in refused(capsys, "", run)


@pytest.mark.parametrize("name", ["nothing", "run.safetensors"])
def test_a_root_is_a_folder(capsys, run, tmp_path, name):
    assert "the root" in refused(capsys, "--root", tmp_path / name)


@pytest.mark.parametrize(
    ("text", "told"),
    [("a b c\n", "line 1"), ("a = b\na = c\n", "'a'"), ("\xff = b", "utf-8"), (None, "cannot")],
)
def test_a_wrong_map_is_told_before_the_server_starts(capsys, tmp_path, text, told):
    if text is not None:
        (tmp_path / "names.map").write_text(text, encoding="latin-1")
    assert told in refused(capsys, "--map", tmp_path / "names.map")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-upload", "much"),
        ("--max-upload", "-1"),
        ("--max-bytes", "much"),
        ("--max-entries", "0"),
        ("--max-ratio", "nan"),
        ("--max-depth", "-3"),
        ("--max-header-bytes", "0"),
        ("--max-expanded-bytes", "x"),
        ("--port", "65536"),
        ("--port", "http"),
        ("--static", "nothing"),
    ],
)
def test_a_wrong_option_is_told(capsys, arguments):
    refused(capsys, *arguments)


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_how_to_install_it(package):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from outgrow.cli.main import main\n"
        "sys.exit(main(['web', '--no-browser', '--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert package in done.stderr
    assert "pip install 'outgrow[web]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_browser_is_opened_on_the_url_unless_there_is_no_screen(tmp_path):
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{opened}"\n')
    script.chmod(0o700)
    command = [sys.executable, "-m", "outgrow", "web", "--port", "0"]
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    }
    environment = {**plain, "BROWSER": f"{script} %s"}

    def look(arguments, environment, seconds):
        """The URL, and what the browser was given in time."""
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
        with process:
            try:
                url = process.stdout.readline().strip()
                # The shell makes the file a moment before it writes to it.
                eventually(lambda: opened.exists() and opened.read_text() == url, seconds)
                return url, opened.read_text() if opened.exists() else None
            finally:
                process.terminate()

    assert look(["--no-browser"], environment, 0.3)[1] is None
    assert look([], plain, 0.3)[1] is None
    url, given = look([], environment, 10)
    assert url == given


def test_limits_map_and_roots_reach_the_page(tmp_path, run):
    (tmp_path / "names.map").write_text("a = a\n")
    arguments = [
        "--root", tmp_path, "--max-upload", "1KiB", "--max-entries", "1", "--map", tmp_path / "names.map",
    ]  # fmt: skip
    with serving(tmp_path, *arguments) as server:
        session = server.begin()
        _, info = server.call("GET", "/api/session", session=session)
        assert info["roots"] == [str(tmp_path)]
        assert info["limits"]["max_upload_bytes"] == 1024
        status, _ = server.call("POST", "/api/sides/actual/uploads?name=x", b"x" * 1025, session)
        assert status == 413
        two = tmp_path / "two.safetensors"
        save_file({"a": torch.ones(2), "b": torch.ones(2)}, two)
        server.upload(session, "expected", run.read_bytes(), "x.safetensors")
        server.upload(session, "actual", two.read_bytes(), "y.safetensors")
        outcome = server.compare(session)
        assert outcome["state"] == "failed"
        assert "max_entries" in outcome["error"]["message"]
