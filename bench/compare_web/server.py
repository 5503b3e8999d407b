"""`outgrow web` in a process of its own, and how much memory of its own it takes."""

__all__ = ["WebServer", "command_line_seconds"]

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

from bench.limit import anon_bytes

_SAMPLE_SECONDS = 0.02
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class WebServer:
    """Started when it is made; use it in `with`."""

    def __init__(self, *arguments: str | Path) -> None:
        self.started = time.time()
        command = [sys.executable, "-m", "outgrow.cli", "web", "--port", "0", "--no-browser"]
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self.url_seconds = time.time() - self.started
        self.peak_anon_bytes = 0
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        if not self.url.startswith("http://"):
            self.close()
            assert self._process.stderr is not None
            raise OSError(f"outgrow web did not start: {self._process.stderr.read()[-2000:]}")

    def _watch(self) -> None:
        while not self._is_over.wait(_SAMPLE_SECONDS):
            self.peak_anon_bytes = max(self.peak_anon_bytes, anon_bytes(self._process.pid))

    def close(self) -> None:
        """End it; may be called twice."""
        self._is_over.set()
        self._watcher.join()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def command_line_seconds(expected: Path, actual: Path) -> float:
    """From the start of `outgrow compare` to its end."""
    command = [sys.executable, "-m", "outgrow.cli", "compare", str(expected), str(actual)]
    started = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    seconds = time.perf_counter() - started
    if ended.returncode not in (0, 1):
        raise OSError(f"outgrow compare ended with code {ended.returncode}: {ended.stderr[-2000:]}")
    return seconds
