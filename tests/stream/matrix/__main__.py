"""`python -m tests.stream.matrix`: every causal language model of transformers, streamed and compared bit for bit.

Each batch of architectures runs in a process of its own, so that one that crashes or hangs costs a row, not the sweep.
What was already judged by these versions of outgrow's dependencies is not run again without `--again`.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.stream.matrix.architectures import architectures
from tests.stream.matrix.results import Results, write_page
from tests.stream.matrix.worker import judge_apart

ROOT = Path(__file__).parents[3]
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "reference" / "architectures.md"
BATCH = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge what was asked for; 0 where nothing differs and nothing crashed."""
    parser = argparse.ArgumentParser(prog="python -m tests.stream.matrix", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ARCHITECTURE", help="classes to judge; all of them by default")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=150, help="seconds that one architecture may take (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="judge also what has a result")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file (default: %(default)s)")
    parser.add_argument("--page", type=Path, default=PAGE, help="page for the documentation (default: %(default)s)")
    options = parser.parse_args(arguments)
    known = architectures()
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"transformers has no causal language model {', '.join(sorted(unknown))}")
    results = Results(options.results, known)
    names = [name for name in options.names or known if options.again or options.names or name not in results.verdicts]
    done = 0

    def run(batch: list[str]) -> None:
        nonlocal done
        for verdict in judge_apart(batch, timeout_seconds=options.timeout):
            results.add(verdict)
            done += 1
            print(f"{done}/{len(names)} {verdict.architecture}: {verdict.outcome} {verdict.reason[:150]}", flush=True)

    batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
    with ThreadPoolExecutor(max_workers=options.processes) as pool:
        list(pool.map(run, batches))
    write_page(results, options.page)
    counts = results.counts()
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return int(bool(counts.get("differs") or counts.get("crashed")))


if __name__ == "__main__":
    sys.exit(main())
