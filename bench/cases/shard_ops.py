"""Is `shard` right? Every entry of torch's databases of ops, modules and optimizers, against torch alone."""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import fnmatch
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.harness import FORMAT, RESULTS, write_result
from bench.oracle.options import EVERY, SOME, Entry, Options
from bench.oracle.stable import stable
from bench.oracle.table import page, summarise, text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="a handful of entries")
    parser.add_argument("--only", nargs="+", help="names of entries, with * and ?; `op:add*`, `module:*`")
    parser.add_argument("--world", type=int, nargs="+", default=[EVERY, *SOME], help="world sizes")
    parser.add_argument("--whole", action="store_true", help="all entries at every world size, not a fifth")
    parser.add_argument("--seed", type=int, default=0, help="of samples, placements and rows")
    parser.add_argument("--samples", type=int, default=3, help="of each entry in float64")
    parser.add_argument("--variants", type=int, default=8, help="placements of each sample")
    parser.add_argument("--case", dest="single", help="one case of one entry, as failures name it")
    parser.add_argument("--engine", choices=["simulated", "local"], default="simulated", help="of the ranks")
    parser.add_argument(
        "--share", type=int, default=1, help="only one entry in so many, by a hash of the name"
    )
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds for one case")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--log", type=Path, help="JSON lines: entries found there are not examined again")
    parser.add_argument("--failing", action="store_true", help="only entries that are not equal in the log")
    parser.add_argument("--page", type=Path, help="also write the documentation's page, here")
    parser.add_argument("--dry", action="store_true", help="write no result file")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", help="name of the result, where it should differ from the case's")


def run(options: argparse.Namespace) -> Path:
    """Examine, summarise, write."""
    # Not above: it gives torch the device `workers`, which is not for the other cases.
    from bench.oracle.pool import run_all

    chosen = Options(
        seed=options.seed,
        samples=options.samples,
        variants=options.variants,
        timeout_seconds=options.timeout,
        engine=options.engine,
        case=options.single,
    )
    todo = list(_wanted(options))
    commit = machine.commit()
    records = _known(options, commit, todo)
    done = {_entry(record) for record in records}
    todo = [entry for entry in todo if entry not in done]
    if options.failing:
        todo = [entry for entry in todo if entry in _failing(options)]
    started = time.perf_counter()
    for number, record in enumerate(run_all(todo, chosen, options.jobs), 1):
        record["commit"] = commit
        records.append(record)
        if options.log is not None:
            with options.log.open("a") as log:
                log.write(json.dumps(record) + "\n")
        _progress(record, number, len(todo))
    seconds = time.perf_counter() - started
    summary = summarise(records)
    print(text(summary, records), file=sys.stderr, flush=True)
    result: dict[str, Any] = {
        "format": FORMAT,
        "case": "shard_ops",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": commit,
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "options": chosen._asdict(),
        "jobs": options.jobs,
        "seconds": seconds,
        "summary": summary,
        "samples": [_brief(record) for record in records],
    }
    if options.page is not None:
        options.page.write_text(page(result))
    if options.dry:
        return Path("/dev/null")
    return write_result(result, options.results, options.name or "shard_ops")


def _wanted(options: argparse.Namespace) -> list[Entry]:
    from bench.oracle.entries import entries

    patterns = options.only or (["op:add", "op:softmax", "module:nn.Linear"] if options.toy else ["*"])
    patterns = [one if ":" in one or one == "*" else f"op:{one}" for one in patterns]
    is_whole = options.whole or options.only is not None
    return [
        entry
        for entry in entries(tuple(options.world), is_whole=is_whole)
        if stable(entry.name) % options.share == 0
        and any(fnmatch.fnmatchcase(f"{entry.database}:{entry.name}", pattern) for pattern in patterns)
    ]


def _logged(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The latest record of every entry that was examined with this seed; a half written line is left out."""
    if options.log is None or not options.log.exists():
        return []
    found = [json.loads(line) for line in options.log.read_text().splitlines() if line.endswith("}")]
    return list({_entry(record): record for record in found if record["seed"] == options.seed}.values())


def _known(options: argparse.Namespace, commit: str, todo: list[Entry]) -> list[dict[str, Any]]:
    """Records that need not be made again: of this commit; of entries that were equal with `--failing`."""
    wanted = set(todo)
    found = [record for record in _logged(options) if _entry(record) in wanted]
    if options.failing:
        return [record for record in found if not record["kept"]]
    return [record for record in found if record["commit"] == commit]


def _failing(options: argparse.Namespace) -> set[Entry]:
    return {_entry(record) for record in _logged(options) if record["kept"]}


def _entry(record: dict[str, Any]) -> Entry:
    return Entry(record["database"], record["name"], record["world_size"])


def _progress(record: dict[str, Any], number: int, many: int) -> None:
    words = f"{record['forward']} / {record['backward']}"
    print(
        f"[{number}/{many}] {_entry(record)}: {words} {record['seconds']:.1f} s", file=sys.stderr, flush=True
    )


def _brief(record: dict[str, Any]) -> dict[str, Any]:
    """Without the rows of every op, which the summary counts."""
    return {key: value for key, value in record.items() if key != "rows"}
