"""`python -m tests.stream.matrix`: every causal language model of transformers, streamed and compared.

Each batch of architectures runs in a process of its own, so that one that crashes or hangs costs a row, not
the sweep. What was already judged with these versions of torch and transformers is not run again without
`--again`.
"""

import argparse
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.stream.matrix.architectures import architectures, one_line
from tests.stream.matrix.results import PAGE, RESULTS, Results, installed_versions
from tests.stream.matrix.verdict import CRASHED, DIFFERS
from tests.stream.matrix.worker import judge_apart

BATCH = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge what was asked for; 0 where nothing differs and nothing crashed."""
    parser = argparse.ArgumentParser(prog="python -m tests.stream.matrix", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="ARCHITECTURE", help="classes to judge; all of them by default")
    add("--processes", type=int, default=1, help="how many at a time (default: %(default)s)")
    add("--timeout", type=float, default=150, help="seconds for one architecture (default: %(default)s)")
    add("--again", action="store_true", help="judge also what has a result")
    add("--results", type=Path, default=RESULTS, help="JSON file (default: %(default)s)")
    add("--page", type=Path, default=PAGE, help="page for the documentation (default: %(default)s)")
    options = parser.parse_args(arguments)
    known = architectures()
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"transformers has no causal language model {', '.join(sorted(unknown))}")
    results = Results(options.results, installed_versions())
    everything = options.again or options.names
    names = [name for name in options.names or known if everything or name not in results.verdicts]
    stopping = threading.Event()
    done = 0

    def run(batch: list[str]) -> None:
        nonlocal done
        for verdict in judge_apart(batch, timeout_seconds=options.timeout):
            if stopping.is_set():
                return
            results.add(verdict)
            done += 1
            why = one_line(verdict.reason)
            _say(f"{done}/{len(names)} {verdict.architecture}: {verdict.outcome} {why}")

    batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
    with ThreadPoolExecutor(max_workers=options.processes) as pool:
        try:
            list(pool.map(run, batches))
        except BaseException:
            stopping.set()
            raise
    options.page.write_text(results.page())
    counts = results.counts()
    _say(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return int(bool(counts.get(DIFFERS) or counts.get(CRASHED)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
