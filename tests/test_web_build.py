"""The built page in the package is that of the sources in `web/`: told from digests, without Node."""

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "src" / "outgrow" / "compare" / "web" / "static"
WEB = ROOT / "web"
RECORD = json.loads((STATIC / "build.json").read_text())


def digests(root, files):
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
        if file.is_file() and file.name != "build.json" and not file.name.endswith(".test.ts")
    }


def test_the_built_files_are_as_they_were_built():
    assert digests(STATIC, STATIC.rglob("*")) == RECORD["built"], "built files were edited; run `make web`"


def test_the_sources_are_those_that_were_built():
    single = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
    found = digests(WEB, [*(WEB / name for name in single), *(WEB / "src").rglob("*")])
    assert found == RECORD["sources"], "the sources of the page have changed; run `make web`"


def test_nothing_in_the_page_is_fetched_from_elsewhere():
    text = "".join(file.read_text() for file in STATIC.rglob("*") if file.suffix in (".html", ".js", ".css"))
    assert "<script>" not in text
    assert "@import" not in text
    assert "https://" not in text.replace("https://preactjs.com", "")


def test_colours_are_named_in_the_theme_alone():
    theme = WEB / "src" / "style" / "theme.css"
    colour = re.compile(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch)a?\(")
    assert colour.search(theme.read_text())
    others = [file for file in (WEB / "src").rglob("*.css") if file != theme]
    assert others
    assert [file.name for file in others if colour.search(file.read_text())] == []
