"""Two of everything on one machine, with one cache: neither is in the other's way."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from outgrow.cli.demo_model import DEMO_MODEL

PROMPT = " ".join(f"word{number}" for number in range(20))


@pytest.fixture
def cache(tmp_path):
    pytest.importorskip("transformers")
    from tests.cli.tiny_chat import make_small, make_tokenizer

    make_tokenizer(make_small(tmp_path / "cache" / "models" / DEMO_MODEL.name))
    return tmp_path / "cache"


def start(cache, *arguments):
    environment = {**os.environ, "OUTGROW_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "outgrow", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(running):
    try:
        ends = [(*process.communicate(timeout=280), process.returncode) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [code for _, _, code in ends] == [0] * len(running), ends
    return [json.loads(out) for out, _, _ in ends]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_whole_demos(cache):
    found = finish([start(cache, "demo", "whole", "--json", "--prompt", PROMPT) for _ in range(2)])
    assert all(one["whole"]["is_right"] for one in found)
    assert (cache / "demo-whole.html").read_text().rstrip().endswith("</html>")
    ET.parse(cache / "demo-whole.svg")
    assert not [path for path in cache.iterdir() if path.name not in ("models", "kernels", "shard") and (
        path.name not in ("demo-whole.html", "demo-whole.svg")
    )]  # fmt: skip


def test_two_demos_that_compare_for_the_first_time(cache):
    # The C file that measures is compiled at first need, by both.
    found = finish([start(cache, "demo", "compare", "--json", "--prompt", PROMPT) for _ in range(2)])
    assert all(one["compare"]["is_right"] for one in found)
    assert not list(cache.rglob("*.tmp"))
