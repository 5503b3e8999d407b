"""Archives made to harm: refused by name, in little time and memory, with nothing run and nothing left.

Each is opened in a process of its own that reports what it touched (`hostile_probe.py`).
"""

import gzip
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compare.readers.archive_makers import (
    ZipMember,
    pax_header,
    raw_tar,
    raw_zip,
    tar_member,
    tarred,
    tensor_file,
    write,
)
from tests.compare.readers.hostile_archives import CUT, GOOD, OTHER, RAISED, REFUSED, bomb


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], dict[str, Any]]]:
    """Opens a path in a fresh process; fails where that took too much, or left or touched anything."""
    temporary = tmp_path_factory.mktemp("temporary")
    command = [sys.executable, str(Path(__file__).with_name("hostile_probe.py")), str(temporary)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(path: Path) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            assert answer["seconds"] < 5, answer["seconds"]
            assert answer["extra_kb"] < 200_000, answer["extra_kb"]
            assert answer["events"] == []
            assert answer.get("left", 0) == 0
            assert list(temporary.iterdir()) == []
            return answer

        yield ask
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("case", REFUSED)
def test_an_entry_made_to_harm_is_refused_and_the_rest_is_read(probe, tmp_path, case):
    make, why = REFUSED[case]
    answer = probe(write(tmp_path, "x", make()))
    assert answer["names"] == ["fine.safetensors"]
    assert list(answer["refused"]) == ["bad.safetensors"]
    assert why in answer["refused"]["bad.safetensors"]


@pytest.mark.parametrize("case", RAISED)
def test_an_archive_made_to_harm_is_refused(probe, tmp_path, case):
    make, why = RAISED[case]
    answer = probe(write(tmp_path, "x", make()))
    assert "error" in answer, answer
    assert any(part in answer["error"] for part in why.split("|")), answer["error"]
    assert "Hint: " in answer["error"]


@pytest.mark.parametrize("case", CUT)
def test_what_stands_before_the_damage_is_read(probe, tmp_path, case):
    make, why = CUT[case]
    answer = probe(write(tmp_path, "x", make()))
    assert answer["names"] == ["fine.safetensors"], answer
    assert why in answer["refused"]["(the rest of the archive)"]


def test_harmless_oddities_are_read(probe, tmp_path):
    fine = ZipMember(b"run/fine.safetensors", GOOD, 8)
    odd = {
        "prefix": raw_zip(fine, prefix=b"#!/bin/sh\n" * 99),
        "counted prefix": b"x" * 990 + raw_zip(fine, shift=990),
        "comment": raw_zip(fine, comment=b"PK\5\6" + b"c" * 300),
        "gap": raw_zip(fine, gap=b"g" * 99),
        "global header": raw_tar(
            pax_header({"comment": "x"}, b"g"), tar_member(b"run/fine.safetensors", GOOD)
        ),
        "two streams": gzip.compress(raw_tar(tar_member(b"run/fine.safetensors", GOOD))[:700])
        + gzip.compress(raw_tar(tar_member(b"run/fine.safetensors", GOOD))[700:])
        + bytes(512),
    }
    for name, data in odd.items():
        answer = probe(write(tmp_path, f"{name}.zip", data))
        assert (answer["names"], answer["refused"]) == (["run/fine.safetensors"], {}), name


def test_entries_that_share_their_bytes_are_refused(probe, tmp_path):
    """The bombs of Fifield (2019) have one kernel of zeros that thousands of entries quote."""
    kernel = ZipMember(b"0.safetensors", b"", 8, packed=bomb(1000), unpacked=1_000_000)
    crc = zlib.crc32(bytes(1_000_000))
    kernel.crc = crc
    same = [
        ZipMember(
            b"0.safetensors",
            b"",
            8,
            packed=kernel.packed,
            unpacked=1_000_000,
            crc=crc,
            offset=0,
            is_written=False,
        )
        for _ in range(5000)
    ]
    answer = probe(write(tmp_path, "full.zip", raw_zip(kernel, *same)))
    assert answer["names"] == []
    # Each entry's data begins with the header of the next, which a stored deflate block quotes.
    inner = raw_zip(ZipMember(OTHER, GOOD)).partition(b"PK\1\2")[0]
    outer = ZipMember(b"a.safetensors", inner)
    quoted = ZipMember(OTHER, GOOD, offset=30 + 13, is_written=False)
    answer = probe(write(tmp_path, "quoted.zip", raw_zip(outer, quoted, ZipMember(b"c.safetensors", GOOD))))
    assert answer["names"] == ["c.safetensors"]
    assert set(answer["refused"]) == {"a.safetensors", "b.safetensors"}
    assert all("shares its bytes" in reason for reason in answer["refused"].values())


def test_long_names_by_the_thousand_take_no_memory(probe, tmp_path):
    members = [ZipMember(b"%d" % index + b"n" * 60_000, b"") for index in range(900)]
    answer = probe(write(tmp_path, "x.zip", raw_zip(*members)))
    assert len(answer["refused"]) == 900
    assert all(len(name) < 300 for name in answer["refused"])


def test_a_killed_process_leaves_nothing(tmp_path):
    path = write(tmp_path, "x.tar.gz", tarred({"a.safetensors": tensor_file(0, 1000, 1000)}, "gz"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = (
        "import sys, tempfile; from pathlib import Path; tempfile.tempdir = sys.argv[2]\n"
        "from outgrow.compare.readers.archives import open_archive\n"
        "from outgrow.compare.readers.limits import Limits\n"
        "archive = open_archive(Path(sys.argv[1]), Limits())\n"
        "print(archive.contents[0][1].records[0].read().numel(), flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path), str(temporary)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1000000\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(temporary.iterdir()) == []
    assert {file.name for file in tmp_path.iterdir()} == {"x.tar.gz", "temporary"}
