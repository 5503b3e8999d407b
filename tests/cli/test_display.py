import sys

from outgrow.cli.display import has_display


def test_a_display_is_what_the_environment_says(monkeypatch):
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert has_display() is (sys.platform == "darwin")
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_display()
