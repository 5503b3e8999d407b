import io
import re
import sys

import pytest

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.errors import InputError
from outgrow.events import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Make stderr a terminal; in the test itself, because pytest exchanges the streams after set-up."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def attach():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return attach


def test_a_table_aligns_numbers_right_and_leaves_no_blanks_behind(capsys):
    render.table("Weights", ("name", "bytes"), [("embed", 5), ("layers.0.up_proj", 1200)])
    assert capsys.readouterr().out == (
        "Weights\nname              bytes\nembed                 5\nlayers.0.up_proj   1200\n"
    )


@pytest.mark.parametrize("columns", ["0", "1", "8"])
def test_nothing_is_lost_in_a_terminal_without_width(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    render.table("Weights", ("name", "bytes"), [("embed", 5)])
    assert "Weights" in stream.getvalue()
    assert "embed" in stream.getvalue()


def test_a_long_line_is_not_folded_where_nobody_looks(capsys):
    render.picture("", [("Why", "because " * 20)])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_brackets_in_cells_are_text(capsys):
    render.table("", ("shape",), [("[2, 3]",), ("[bold]x",)])
    assert "[2, 3]\n[bold]x\n" in capsys.readouterr().out


def test_errors_are_red_on_a_terminal_and_plain_with_no_color(terminal, monkeypatch):
    stream = terminal()
    render.error("broken", hint="mend it")
    assert "\x1b[1;31m" in stream.getvalue()
    stream = terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    render.error("broken", hint="mend it")
    assert "31m" not in stream.getvalue()
    assert "broken" in stream.getvalue()


def test_progress_is_drawn_on_a_terminal(terminal):
    stream = terminal()
    with render.progress() as listener:
        listener(Progress(task="converting", done=5_000_000, total=10_000_000, item="lm_head.weight"))
        listener(Progress(task="converting", done=10_000_000, total=10_000_000, item="lm_head.weight"))
        listener(Progress(task="counting", done=3, total=None, unit="tensors"))
        listener("an event that it does not know")
    shown = stream.getvalue()
    assert "converting" in shown
    assert "10.0 MB / 10.0 MB" in shown
    assert "3 tensors" in shown


def test_progress_and_live_line_are_mute_without_a_terminal(capsys):
    with render.progress() as listener:
        listener(Progress(task="converting", done=1, total=2))
    with render.live() as line:
        line.update("27.0 MB resident")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


def test_a_live_line_is_rewritten_on_a_terminal(terminal):
    stream = terminal()
    with render.live() as line:
        line.update("27.0 MB resident")
    assert "27.0 MB resident" in stream.getvalue()


def test_notes_go_to_stderr(capsys):
    render.note("measuring")
    assert capsys.readouterr() == ("", "measuring\n")


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"OUTGROW_CACHE": "/data/cache"}, "/data/cache"),
        ("linux", {"XDG_CACHE_HOME": "/var/xdg"}, "/var/xdg/outgrow"),
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.cache/outgrow"),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Caches/outgrow"),
        ("win32", {"LOCALAPPDATA": "/c/local"}, "/c/local/outgrow/Cache"),
    ],
)
def test_the_cache_lies_where_the_system_keeps_such_things(monkeypatch, platform, variables, expected):
    for name in ("OUTGROW_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_directory().as_posix() == expected


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    for name in ("OUTGROW_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("pathlib.Path.home", fail)
    with pytest.raises(InputError, match="no home directory") as caught:
        cache_directory()
    assert "OUTGROW_CACHE" in caught.value.hint


@pytest.mark.parametrize("columns", ["40", "60"])
def test_in_a_narrow_terminal_names_are_folded_and_numbers_whole(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    names = [f"model.layers.{number}.self_attn.rotary_embedding" for number in range(3)]
    rows = [(name, "1.25e-07", "1,024", "ok") for name in names]
    render.table("", ("tensor", "relative error", "max abs", "status"), rows)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    lines = [line for line in shown.splitlines() if line.strip()]
    assert max(map(len, lines)) <= int(columns)
    assert shown.count("1.25e-07") == shown.count("1,024") == 3
    assert "…" not in shown
    assert lines[0].split() == ["relative", "max"]
    folded = "".join(line.split(" ")[0] for line in lines)
    for name in names:
        assert name in folded


def test_where_nothing_fits_any_more_the_terminal_folds_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    render.table("", ("tensor", "max abs", "ULP"), [("model.layers.0.norm", "1.25e-07", "1,024,000")])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "model.layers.0  1.25e-07  1,024,000\n" in shown


def test_names_that_begin_with_digits_are_no_numbers(capsys):
    render.table("", ("name", "share"), [("0_query", "5%"), ("10_post_mlp", "100%")])
    assert capsys.readouterr().out == ("name         share\n0_query         5%\n10_post_mlp   100%\n")
