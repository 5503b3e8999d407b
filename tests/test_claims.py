"""What the README's first table and the page of peers say is what the named files say."""

import re
from pathlib import Path

from tests.measured import (
    PREFIX,
    ROOT,
    accuracy,
    alarms,
    curves,
    entry,
    exact_changes,
    faster,
    floor,
    known,
    of_ddp,
    original,
    percent,
    planted,
    result,
    seconds_lost,
)

PEERS = (ROOT / "docs" / "explanation" / "peers.md").read_text()
README = (ROOT / "README.md").read_text()


def room(name: str) -> tuple[str, str]:
    """The figure and the loss of a room in the README's first table, links replaced by names of files."""
    (line,) = (line for line in README.splitlines() if line.startswith(f"| [`{name}`]"))
    paths = dict(re.findall(r"^\[(\w+)\]: (\S+)$", README, re.MULTILINE))
    line = re.sub(
        r"\[([^\[\]]+)\]\[(\w+)\]",
        lambda found: f"{found[1]} ({Path(paths[found[2]]).stem.removeprefix(PREFIX)})",
        line,
    )
    _, _, gain, loss = (cell.strip() for cell in line.strip("| ").split(" | "))
    return gain, loss


def test_what_the_readme_says_of_stream():
    gain, loss = room("stream")
    rounds = entry("peers-45", peer="transformers")["times_faster"]
    assert f"45 % of the weights in memory: {rounds['median']:.1f} times as fast as transformers'" in gain
    assert f"(five rounds, {rounds['min']:.1f} to {rounds['max']:.1f} (peers-45))" in gain
    assert len(rounds["samples"]) == 5
    assert f"10 % in memory: only {faster('transformers', 10):.1f} times (peers-10)" in loss
    assert f"a token takes {floor(10, 'resident_ratio'):.1f} times (floor)" in loss


def test_what_the_readme_says_of_shard():
    gain, loss = room("shard")
    assert f"takes {of_ddp('pixel', 'two workers, capped'):.2f} of hand-written DDP's time" in gain
    assert "one worker ruled out by a memory limit (shard_step)" in gain
    assert f"plain torch in one process takes {of_ddp('pixel', 'torch'):.2f} (shard_step)" in loss


def test_what_the_readme_says_of_evolve():
    gain, loss = room("evolve")
    assert f"of {exact_changes():,} changes" in gain
    assert f"{known()['wrong']} moved an output beyond rounding (evolve_exactness)" in gain
    lost = seconds_lost()
    assert f"{min(lost):.1f} to {max(lost):.1f} points (evolve_curves) better" in loss


def test_what_the_readme_says_of_compare():
    gain, loss = room("compare")
    assert f"{planted('exact_rate_above_rounding')} (planted) are named exactly" in gain
    assert f"it is {planted('exact_rate')} of 1,008 (planted)" in loss
    wrong, pairs = alarms("clean_pairs", "clean_ranks")
    assert f"of {pairs} clean pairs that hide a permutation, {wrong} are called different" in loss


def peer(name: str) -> str:
    (line,) = (line for line in PEERS.splitlines() if line.startswith(f"| **{name}"))
    return line


def test_what_the_peers_page_says_of_stream():
    assert (
        f"45 % in memory: transformers {faster('transformers'):.1f}, accelerate {faster('accelerate'):.1f} "
        f"times slower; 10 %: transformers {faster('transformers', 10):.1f}"
    ) in peer("transformers and")
    assert f"45 %: {faster('mmap'):.1f} times slower; 10 %: {faster('mmap', 10):.1f}" in peer("mapping")
    assert f"45 %: {faster('airllm'):.0f} times slower" in peer("AirLLM")
    text = " ".join(PEERS.split())
    assert f"half of its weights streamed a token takes {floor(50, 'resident_ratio'):.1f} times" in text
    assert f"with nine tenths streamed {floor(10, 'resident_ratio'):.0f} times" in text
    killed = entry("peers-10", peer="accelerate")
    assert f"it was {faster('accelerate', 10):.1f} times slower in one" in text
    assert len(killed["times_faster"]["samples"]) == 1
    assert "OOM" in str(killed["failures"])


def test_what_the_peers_page_says_of_shard():
    names = {
        "pixel": "Pixel Transformer",
        "cnn": "CNN with a large head",
        "vocabulary": "vocabulary of 32,000",
    }
    columns = ("two workers, capped", "two workers, capped, compiled", "data parallel")
    for model, name in names.items():
        cells = " | ".join(f"{of_ddp(model, column):.2f}" for column in columns)
        assert f"| {name} | {cells} |" in PEERS
    faster_than_ddp = sum(of_ddp(model, column) < 1 for model in names for column in columns[:2])
    assert {5: "faster in five of six settings and slower in one"}[faster_than_ddp] in PEERS
    assert f"{original('pixel, one worker')['ratio']:.0f} times as fast on one worker" in peer("GT")
    ours = original("pixel, two workers, automatic sharding")["step_seconds"]
    assert f"ours take {ours * 1000:.0f} ms" in peer("GT")
    for model in ("pixel", "cnn"):
        steps = result("shard_step")["summary"][model]["of torch"]
        assert min(figure for column, figure in steps.items() if column != "torch") > 1


def test_what_the_peers_page_says_of_evolve():
    pruned, cut_to = accuracy("Torch-Pruning 16 to 8"), accuracy("fixed 8.16.32")
    assert f"{pruned:.2f} % against {cut_to:.2f} %" in peer("Torch-Pruning")
    gromo, ours = accuracy("mlp gromo 8 to 32"), accuracy("mlp evolve 8 to 32")
    began_with = accuracy("mlp fixed 32")
    assert f"{gromo:.2f} % against {ours:.2f} %" in peer("gromo")
    assert f"({began_with:.2f} %)" in peer("gromo")
    assert f"{percent(curves('gate C, cost')[0]['share_of_macs'])} of a sweep's FLOPs" in peer("NAS")


def test_a_peer_without_a_file_is_not_measured():
    """A cell of the last column has a figure that a test above looks at, or says so."""
    rows = [line for line in PEERS.splitlines() if line.startswith("| **")]
    measured = {"transformers and", "mapping", "AirLLM", "DDP", "GT", "Torch-Pruning", "gromo"}
    assert len(rows) > 25
    for row in rows:
        if not any(row.startswith(f"| **{name}") for name in measured):
            assert row.rstrip("| ").rpartition(" | ")[2].startswith("not measured"), row


def test_result_files_that_pages_name_exist():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"bench/results/[\w.-]+\.json", page.read_text())}
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
