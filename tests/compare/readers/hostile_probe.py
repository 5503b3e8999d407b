"""Opens archives in processes of their own, and tells what that took and touched.

Run with a folder for temporary files as its argument; each line on stdin is a path, each answer a line of
JSON.
Every archive is opened in a fork, so that none inherits memory from the one before.
"""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from outgrow.compare.readers.archives import open_archive
from outgrow.compare.readers.limits import Limits
from outgrow.errors import OutgrowError

WATCHED = (
    "exec",
    "os.",
    "subprocess.",
    "shutil.",
    "socket.",
    "pickle.",
    "import",
    "ctypes.",
    "open",
    "tempfile.",
)
# What looking at files does, whoever looks; and a refused entry is taken off the end of the temporary file.
HARMLESS = ("os.listdir", "os.scandir", "tempfile.mkstemp", "os.truncate")


def kilobytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def open_once(path: Path, temporary: str) -> dict[str, object]:
    """One archive, with the figures of this process."""
    events: list[str] = []
    is_watching = False

    def watch(event: str, args: tuple[object, ...]) -> None:
        if not is_watching or not event.startswith(WATCHED) or event in HARMLESS:
            return
        if event == "open":
            name, _, flags = args
            is_writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not is_writing or str(name).startswith(temporary):
                return
        events.append(f"{event} {args!r}"[:200])

    sys.addaudithook(watch)
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    started = time.process_time()
    is_watching = True
    answer: dict[str, object] = {}
    try:
        archive = open_archive(path, Limits())
    except OutgrowError as err:
        answer["error"] = str(err)
    else:
        answer["names"] = [name for name, content in archive.contents if content.records]
        inner = [refusal for _, content in archive.contents for refusal in content.refused]
        answer["refused"] = {refusal.entry: refusal.reason for refusal in [*archive.refused, *inner][:1000]}
        answer["left"] = len(list(Path(temporary).iterdir()))
        archive.close()
    is_watching = False
    answer["seconds"] = time.process_time() - started
    answer["extra_kb"] = kilobytes("VmHWM") - before
    answer["events"] = events
    return answer


def main() -> None:
    """Answer until stdin ends."""
    tempfile.tempdir = sys.argv[1]
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, json.dumps(open_once(Path(line.strip()), sys.argv[1])).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        sys.stdout.write(answer.decode() + "\n")
        sys.stdout.flush()


main()
