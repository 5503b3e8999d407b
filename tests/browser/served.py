"""A server of the page in a process of its own."""

import os
import subprocess
import sys

STARTED_SECONDS = 30


class Served:
    """`outgrow web` with the given arguments, on a free port; leaves with `stop`."""

    def __init__(self, *args, env=None):
        command = [sys.executable, "-m", "outgrow", "web", "--port", "0", "--no-browser", *map(str, args)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            self.stop()
            raise AssertionError("the server did not start")
        self.address, _, self.token = self.url.partition("/#token=")

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STARTED_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
