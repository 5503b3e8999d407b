"""One measured run of one system, in a process of its own: open, prefill, decode.

`python -m bench.child SPEC OUT` reads a JSON spec and writes a JSON record.
"""

__all__ = ["Spec", "main", "measure"]

import hashlib
import json
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.limit import anon_bytes
from bench.models import weight_files
from bench.page_cache import cached_bytes, drop_caches
from bench.systems import SYSTEMS

_SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What one run does. Everything that could change its figures is in here."""

    system: str
    model: str
    """Directory of the checkpoint."""
    work: str
    """Directory where the system may keep its own copy of the weights between runs."""
    budget_bytes: int | None = None
    """Weight budget, for systems that have one."""
    prompt_tokens: int = 512
    prefills: int = 1
    """Each with a fresh cache; decoding follows the last one."""
    decode_tokens: int = 8
    decode_seconds: float = 600.0
    """Decoding ends early once it took this long, but not before two tokens."""
    seed: int = 0
    cold: bool = True
    """Drop the model's files from the page cache after the imports, before opening."""
    prepare: bool = False
    """Write the system's own copy instead of measuring."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to the system as they are."""


class _AnonSampler:
    """Peak RssAnon of this process, from a thread of its own; restarted for each phase."""

    def __init__(self) -> None:
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rss-sampler", daemon=True)

    def __enter__(self) -> "_AnonSampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, anon_bytes())

    def take(self) -> int:
        """The peak since the last call, this moment included."""
        peak, self._peak = max(self._peak, anon_bytes()), 0
        return peak


@contextmanager
def _phase(record: dict[str, Any], name: str, sampler: _AnonSampler) -> Iterator[None]:
    """Note wall seconds, CPU seconds, disk bytes and peak RssAnon of what happens inside."""
    before, cpu = _disk_bytes(), _cpu_seconds()
    sampler.take()
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - started
        after = _disk_bytes()
        record[name] = {
            "seconds": seconds,
            "cpu_seconds": _cpu_seconds() - cpu,
            "disk_bytes": None if before is None or after is None else after - before,
            "peak_anon_bytes": sampler.take(),
        }


def measure(spec: Spec) -> dict[str, Any]:
    """Run `spec` in this process; an error of the system becomes part of the record."""
    system = SYSTEMS[spec.system]()
    record: dict[str, Any] = {"system": spec.system, "threads": torch.get_num_threads()}
    phase = "import"
    try:
        system.load_libraries(spec)
        record["anon_imported_bytes"] = anon_bytes()
        if spec.prepare:
            phase = "prepare"
            with _AnonSampler() as sampler, _phase(record, "prepare", sampler):
                system.prepare(spec)
            return record
        files = (*weight_files(Path(spec.model)), *system.own_files(spec))
        if spec.cold:
            record["dropped"] = drop_caches(files)
        record["cached_before_bytes"] = cached_bytes(files)
        with _AnonSampler() as sampler, torch.no_grad():
            phase = "open"
            with _phase(record, "open", sampler):
                model = system.open(spec)
            record["anon_open_bytes"] = anon_bytes()
            record["statistics_open"] = system.statistics(model)
            try:
                phase = "run"
                _run(spec, system, model, record, sampler)
            finally:
                system.close(model)
    except Exception as err:  # the boundary of a measurement: what a peer raises is its result
        record["error"] = {
            "phase": phase,
            "type": type(err).__name__,
            "text": str(err)[:2000],
            "traceback": traceback.format_exc()[-6000:],
        }
    return record


def _run(spec: Spec, system: Any, model: Any, record: dict[str, Any], sampler: _AnonSampler) -> None:
    config = json.loads((Path(spec.model) / "config.json").read_text())
    generator = torch.Generator().manual_seed(spec.seed)
    prompt = torch.randint(3, config["vocab_size"], (1, spec.prompt_tokens), generator=generator)
    hashes: list[str] = []
    record["logits_sha256"] = hashes
    record["prefills"] = []
    for _ in range(spec.prefills):
        one: dict[str, Any] = {}
        with _phase(one, "prefill", sampler):
            output = model(input_ids=prompt, use_cache=True, logits_to_keep=1)
        record["prefills"].append(one["prefill"])
    hashes.append(_sha256(output.logits))
    seconds: list[float] = []
    record["decode_step_seconds"] = seconds
    tokens: list[int] = []
    record["tokens"] = tokens
    record["statistics_prefill"] = system.statistics(model)
    kept = []
    with _phase(record, "decode", sampler):
        started = time.perf_counter()
        while len(seconds) < spec.decode_tokens:
            token = output.logits[:, -1].argmax(-1, keepdim=True)
            before = time.perf_counter()
            output = model(input_ids=token, past_key_values=output.past_key_values, use_cache=True)
            seconds.append(time.perf_counter() - before)
            tokens.append(int(token))
            kept.append(output.logits)
            if len(seconds) >= 2 and time.perf_counter() - started > spec.decode_seconds:
                break
    hashes.extend(_sha256(logits) for logits in kept)  # outside the clock
    record["statistics"] = system.statistics(model)


def _sha256(logits: torch.Tensor) -> str:
    """Digest of the last position's logits, dtype included: equal only for equal bits."""
    last = logits[:, -1].detach().cpu().contiguous()
    return hashlib.sha256(str(last.dtype).encode() + last.view(torch.uint8).numpy().tobytes()).hexdigest()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _disk_bytes() -> int | None:
    """Bytes that this process made the disk read, page faults and O_DIRECT included."""
    path = Path("/proc/self/io")
    if not path.exists():
        return None
    lines = dict(line.split(": ") for line in path.read_text().splitlines())
    return int(lines["read_bytes"])


def main(arguments: list[str]) -> int:
    """Measure the spec in the first file; write the record to the second."""
    spec = Spec(**json.loads(Path(arguments[0]).read_text()))
    record = measure(spec)
    Path(arguments[1]).write_text(json.dumps({"spec": asdict(spec), **record}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
