"""Architectures judged in another process, which may crash or hang."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.stream.matrix.verdict import CRASHED, Verdict, judge

ROOT = Path(__file__).parents[3]
START_SECONDS = 60
"""What a process may take until it has imported everything, besides the time for its first architecture."""
COMMAND = (sys.executable, "-m", "tests.stream.matrix.worker")
"""What judges: called with a folder and names, it writes a line of JSON to `folder/verdicts` for each."""


def judge_apart(
    names: Sequence[str],
    *,
    timeout_seconds: float,
    start_seconds: float = START_SECONDS,
    command: Sequence[str] = COMMAND,
) -> Iterator[Verdict]:
    """A verdict for each of `names`, in order, whatever happens to the process that finds it."""
    left = list(names)
    while left:
        with tempfile.TemporaryDirectory(prefix="outgrow-matrix-") as folder:
            output = Path(folder) / "output"
            with output.open("w") as stream:
                process = subprocess.Popen(
                    [*command, folder, *left], cwd=ROOT, env=_environment(), stdout=stream, stderr=stream
                )
            try:
                yield from _follow(process, Path(folder) / "verdicts", left, timeout_seconds, start_seconds)
                is_late = process.poll() is None
            finally:
                process.kill()
                process.wait()
            if left:
                what = "no answer in time" if is_late else f"its process ended with {process.returncode}"
                end = output.read_text(errors="replace")[-2000:]
                yield Verdict(architecture=left.pop(0), outcome=CRASHED, reason=f"{what}\n{end}")


def _follow(
    process: subprocess.Popen[bytes],
    lines: Path,
    left: list[str],
    timeout_seconds: float,
    start_seconds: float,
) -> Iterator[Verdict]:
    """Verdicts as they are written, until all are there, the process is gone, or one takes too long."""
    seen = 0
    until = time.monotonic() + timeout_seconds + start_seconds
    while left:
        is_over = process.poll() is not None
        written = lines.read_text().splitlines(keepends=True) if lines.exists() else []
        fresh = [line for line in written[seen:] if line.endswith("\n")]
        for line in fresh:
            seen += 1
            left.pop(0)
            until = time.monotonic() + timeout_seconds
            yield Verdict(**json.loads(line))
        if is_over or time.monotonic() > until:
            return
        if not fresh:
            time.sleep(0.1)


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "critical",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def main(folder: Path, names: Sequence[str]) -> None:
    """Judge `names` one by one and write a line for each."""
    for name in names:
        verdict = judge(name, folder / name)
        with (folder / "verdicts").open("a") as file:
            file.write(json.dumps(verdict.as_dict()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
