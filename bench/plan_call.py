"""Seconds of one `outgrow plan` after imports: `python -m bench.plan_call MODEL BUDGET [OPTION…]`."""

__all__ = ["main", "plan_model", "run_plan"]

import contextlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent


def plan_model(model: Path, budget_bytes: int, *options: str) -> dict[str, Any]:
    """Call the installed command in this process, all that it needs imported and warm beforehand.

    The first call pays for lazy imports, so that the second one shows the work alone; both are returned.
    """
    import torch  # noqa: F401

    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="outgrow")
    command = entry.load()
    seconds: list[float] = []
    for _ in range(2):
        text = io.StringIO()
        before = sys.argv
        sys.argv = ["outgrow", "plan", str(model), "--budget", str(budget_bytes), "--json", *options]
        code: object = 0
        started = time.perf_counter()
        try:
            with contextlib.redirect_stdout(text):
                code = command()
        except SystemExit as err:
            code = err.code
        finally:
            seconds.append(time.perf_counter() - started)
            sys.argv = before
    try:
        output = json.loads(text.getvalue())
    except json.JSONDecodeError:
        output = text.getvalue()[:2000]
    return {"first_seconds": seconds[0], "seconds": seconds[1], "exit_code": code or 0, "output": output}


def run_plan(model: Path, budget_bytes: int, *options: str, timeout_seconds: float) -> dict[str, Any]:
    """`plan_model` in a fresh process; what goes wrong is text in `error`."""
    command = [sys.executable, "-m", "bench.plan_call", str(model), str(budget_bytes), *options]
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {timeout_seconds:.0f} s"}
    try:
        found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {"error": f"exit {ended.returncode}: {_last_words(ended.stderr)}"}
    if found["exit_code"]:
        found["error"] = _last_words(ended.stderr)
    return found


def _last_words(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-3:])


def main(arguments: list[str]) -> int:
    """Print one line of JSON."""
    print(json.dumps(plan_model(Path(arguments[0]), int(arguments[1]), *arguments[2:])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
