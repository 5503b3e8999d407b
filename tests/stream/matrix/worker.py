"""Architectures judged in another process, which may crash or hang."""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.stream.matrix.verdict import CRASHED, Verdict, judge

ROOT = Path(__file__).parents[3]
START_SECONDS = 60
"""What a process may take until it has imported everything, besides the time for its first architecture."""


def judge_apart(names: Sequence[str], *, timeout_seconds: float) -> Iterator[Verdict]:
    """A verdict for each of `names`, in order, whatever happens to the process that finds it."""
    left = list(names)
    while left:
        with tempfile.TemporaryDirectory(prefix="outgrow-matrix-") as folder:
            lines = Path(folder) / "verdicts"
            lines.touch()
            errors = Path(folder) / "errors"
            with errors.open("w") as stream:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.stream.matrix.worker", folder, *left],
                    cwd=ROOT, env=_environment(), stdout=stream, stderr=stream,
                )  # fmt: skip
            try:
                yield from _follow(process, lines, left, timeout_seconds)
            finally:
                process.kill()
                process.wait()
            if left:
                end = errors.read_text(errors="replace")[-2000:]
                how = "no answer in time" if process.returncode == -9 else f"the process died ({process.returncode})"
                yield Verdict(architecture=left.pop(0), outcome=CRASHED, reason=f"{how}: {end}")


def _follow(process: subprocess.Popen[bytes], lines: Path, left: list[str], timeout_seconds: float) -> Iterator[Verdict]:
    """Verdicts as they are written, until all are there, the process is gone, or one takes too long."""
    seen = 0
    until = time.monotonic() + timeout_seconds + START_SECONDS
    while left:
        is_over = process.poll() is not None
        written = lines.read_text().splitlines(keepends=True)
        fresh = [line for line in written[seen:] if line.endswith("\n")]
        for line in fresh:
            seen += 1
            left.pop(0)
            until = time.monotonic() + timeout_seconds
            yield Verdict(**json.loads(line))
        if is_over or time.monotonic() > until:
            return
        if not fresh:
            time.sleep(0.2)


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
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in names:
        verdict = judge(name, folder / name)
        with (folder / "verdicts").open("a") as file:
            file.write(json.dumps(verdict.as_dict()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
