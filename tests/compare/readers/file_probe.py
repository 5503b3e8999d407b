"""Opens dumps in processes of their own, reads all of their tensors, and tells what that took and touched.

Each line on stdin is a path, each answer a line of JSON. Every one is opened in a fork.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

from outgrow.compare.readers import open_recording
from outgrow.errors import OutgrowError

# Whatever code in a file could do, it would have to do by one of these.
WATCHED = ("exec", "os.", "subprocess.", "shutil.", "socket.", "pickle.", "import", "ctypes.dlopen", "open")
HARMLESS = ("os.listdir", "os.scandir")


def kilobytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def open_once(path: Path) -> dict[str, object]:
    """One dump, with the figures of this process."""
    events: list[str] = []
    is_watching = False

    def watch(event: str, args: tuple[object, ...]) -> None:
        if not is_watching or not event.startswith(WATCHED) or event in HARMLESS:
            return
        if event == "open":
            _, _, flags = args
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        events.append(f"{event} {args!r}"[:200])

    sys.addaudithook(watch)
    Path("/proc/self/clear_refs").write_text("5")
    # Pages of files come and go as the system likes: only what is private counts.
    before, files_before = kilobytes("RssAnon"), kilobytes("RssFile")
    started = time.process_time()
    is_watching = True
    answer: dict[str, object] = {}
    try:
        recording = open_recording(path)
    except OutgrowError as err:
        answer["error"] = str(err)
    else:
        answer["names"] = [record.name for record in recording.records][:1000]
        answer["count"] = len(recording.records)
        answer["refused"] = {refusal.entry: refusal.reason for refusal in recording.refused[:1000]}
        problems = []
        for record in recording.records:
            try:
                record.read()
            except OutgrowError as err:
                problems.append(str(err))
        answer["problems"] = problems[:10]
        recording.close()
    is_watching = False
    answer["seconds"] = time.process_time() - started
    answer["extra_kb"] = kilobytes("VmHWM") - before - files_before
    answer["events"] = events
    return answer


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, json.dumps(open_once(Path(line.rstrip("\n")))).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        sys.stdout.write((answer.decode() or "{}") + "\n")
        sys.stdout.flush()


main()
