"""One architecture, resident and streamed: whether every bit is the same, and what it took."""

import copy
import shutil
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import OutgrowError
from outgrow.stream import Config, load, offload, restore, statistics
from outgrow.stream.attachment import stream_of
from outgrow.stream.plan import BudgetTooSmall
from tests.stream.matrix.architectures import Built, NotSmall, build, one_line

SHARE = 0.3
"""The budget, as a part of the weights."""
NEW_TOKENS = 8
CHECKPOINT_DTYPE = torch.bfloat16
PASSES = 3
EQUAL, REFUSED, DIFFERS, CRASHED, UNBUILT = "equal", "refused", "differs", "crashed", "not built"
"""What can come of an architecture. `crashed` is any error but a refusal; `not built` says nothing about
streaming."""


class Differs(AssertionError):
    """A streamed model did not do what the resident one did, or broke a promise."""


class NoPeer(Exception):
    """The resident model cannot do this either, or not twice alike, so that nothing can be compared."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What came of one architecture."""

    architecture: str
    outcome: str = UNBUILT
    reason: str = ""
    weights_bytes: int = 0
    budget_bytes: int = 0
    least_bytes: int = 0
    """Least budget that works, where 30 % of the weights did not; the run was with it then."""
    peak_bytes: int = 0
    planned_bytes_per_pass: int = 0
    read_bytes_per_pass: int = 0
    generation: str = ""
    """`equal`, or why nothing was compared."""
    checkpoint: str = ""
    """What came of `load`: an outcome, with the reason where it is not `equal`."""
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _OnPurpose(RuntimeError):
    """Raised in the middle of a forward."""


def judge(name: str, folder: Path, *, share: float = SHARE) -> Verdict:
    """Compare the architecture streamed within `share` of its weights to itself in memory; files go below
    `folder`."""
    with warnings.catch_warnings():
        # Those of other people's models say nothing about streaming.
        warnings.simplefilter("ignore")
        return _judge(name, folder, share)


def _judge(name: str, folder: Path, share: float) -> Verdict:
    verdict = Verdict(architecture=name)
    try:
        built = build(name)
        # Of another copy: some models change their own weights when they are first called.
        resident = _Resident(copy.deepcopy(built.model), built.inputs)
    except (NotSmall, NoPeer) as err:
        verdict.reason = str(err)
        return verdict
    verdict.generation = EQUAL if resident.generated is not None else resident.why_not_generated
    verdict.weights_bytes = sum(weight.nbytes for weight in built.model.parameters())
    verdict.budget_bytes = int(verdict.weights_bytes * share)
    _note(verdict, lambda: _judge_offload(verdict, built, resident, folder))
    if verdict.outcome == EQUAL:
        loaded = Verdict(architecture=name)
        _note(loaded, lambda: _judge_load(loaded, built, folder, share=share))
        verdict.checkpoint = (
            loaded.outcome if loaded.outcome == EQUAL else f"{loaded.outcome}: {loaded.reason}"
        )
        verdict.notes += loaded.notes
    return verdict


def _note(verdict: Verdict, run: Callable[[], None]) -> None:
    """Let what `run` raises become the outcome."""
    try:
        run()
    except Differs as err:
        verdict.outcome, verdict.reason = DIFFERS, str(err)
    except NoPeer as err:
        verdict.outcome, verdict.reason = UNBUILT, str(err)
    except OutgrowError as err:
        verdict.outcome, verdict.reason = REFUSED, f"{type(err).__name__}: {err}"
    except Exception as err:  # anything else is a fault of ours and a row like any other
        verdict.outcome = CRASHED
        verdict.reason = f"{type(err).__name__}: {err}\n{traceback.format_exc()}"
    else:
        verdict.outcome = EQUAL


def _judge_offload(verdict: Verdict, built: Built, resident: "_Resident", folder: Path) -> None:
    streamed = copy.deepcopy(built.model)
    config = Config(storage_path=folder / "stored", budget=verdict.budget_bytes, debug_mode=True)
    try:
        offload(streamed, config)
    except BudgetTooSmall as err:
        if err.least_bytes >= verdict.weights_bytes:
            raise
        verdict.least_bytes = config.budget = err.least_bytes
        resident.check(streamed, "the model after a refusal")
        offload(streamed, config)
    try:
        _check_streamed(verdict, streamed, resident)
        restore(streamed)
    finally:
        if hasattr(streamed, "cleanup_tensorstream"):
            streamed.cleanup_tensorstream()
        shutil.rmtree(folder / "stored", ignore_errors=True)
    resident.check(streamed, "the restored model")


def _judge_load(verdict: Verdict, built: Built, folder: Path, *, share: float) -> None:
    """The same with a checkpoint in bfloat16, against what `from_pretrained` makes of it."""
    place = folder / "saved"
    dtype = CHECKPOINT_DTYPE
    try:
        peer, resident = _reopened(built, place, dtype)
    except NoPeer as err:
        verdict.notes.append(f"checkpoint in float32: {err}")
        dtype = torch.float32
        peer, resident = _reopened(built, place, dtype)
    verdict.weights_bytes = sum(weight.nbytes for weight in peer.parameters())
    verdict.budget_bytes = int(verdict.weights_bytes * share)
    config = Config(debug_mode=True)
    torch.manual_seed(0)
    try:
        streamed = load(place, verdict.budget_bytes, dtype=dtype, config=config)
    except BudgetTooSmall as err:
        verdict.least_bytes = err.least_bytes
        verdict.notes.append(f"checkpoint: {err.message}")
        torch.manual_seed(0)
        streamed = load(place, err.least_bytes, dtype=dtype, config=config)
    if type(streamed) is not type(peer):
        raise NoPeer(f"the checkpoint opens as {type(streamed).__name__}")
    try:
        _check_streamed(verdict, streamed, resident)
    finally:
        streamed.cleanup_tensorstream()
        shutil.rmtree(place, ignore_errors=True)


def _reopened(built: Built, place: Path, dtype: torch.dtype) -> tuple[nn.Module, "_Resident"]:
    """What `from_pretrained` makes of the model saved in `dtype`."""
    shutil.rmtree(place, ignore_errors=True)
    try:
        copy.deepcopy(built.model).to(dtype).save_pretrained(place)
        torch.manual_seed(0)
        peer = type(built.model).from_pretrained(place, dtype=dtype).eval()
    except Exception as err:  # whatever somebody else's code raises
        raise NoPeer(f"transformers cannot save or open it: {_first_line(err)}") from err
    return peer, _Resident(peer, built.inputs)


def _check_streamed(verdict: Verdict, streamed: nn.Module, resident: "_Resident") -> None:
    stream = stream_of(streamed)
    budget = stream.budget_bytes
    read: list[int] = []
    for number in range(PASSES):
        before = statistics(streamed)
        resident.check(streamed, f"pass {number + 1}")
        read.append(statistics(streamed).bytes_read - before.bytes_read)
    resident.check_generation(streamed)
    _check_after_error(streamed, resident)
    figures = statistics(streamed)
    verdict.peak_bytes = figures.peak_bytes
    verdict.planned_bytes_per_pass = before.streamed_bytes_per_pass
    # A pass in which the window grew reads what was in it once more.
    verdict.read_bytes_per_pass = min(read[1:])
    if figures.peak_bytes > budget:
        raise Differs(f"weights took {figures.peak_bytes:,} bytes of a budget of {budget:,}")
    if figures.resident_bytes + figures.window_bytes > budget:
        raise Differs(f"more is held than the budget: {figures}")
    if figures.resident_bytes >= figures.weights_bytes:
        raise Differs(f"everything is in memory: {figures}")
    if not before.streamed_bytes_per_pass:
        verdict.notes.append("all that a pass uses stays in memory but rows of tables")
    elif figures.bytes_read <= 0:
        raise Differs(f"nothing was read: {figures}")
    if verdict.read_bytes_per_pass < 0.5 * before.streamed_bytes_per_pass:
        verdict.notes.append(
            f"a pass read {verdict.read_bytes_per_pass:,} of {before.streamed_bytes_per_pass:,} planned bytes"
        )
    if verdict.read_bytes_per_pass > 2 * before.streamed_bytes_per_pass + 100_000:
        verdict.notes.append(
            f"a pass read {verdict.read_bytes_per_pass:,}, planned {before.streamed_bytes_per_pass:,} bytes"
        )
    problems = [problem for problem in stream.problems() if problem]
    if problems:
        verdict.notes.append("; ".join(problems))


def _check_after_error(streamed: nn.Module, resident: "_Resident") -> None:
    """The pass after one that failed halfway is right."""
    handles = []
    modules = dict(streamed.named_modules())
    calls = resident.called
    for name in {calls[len(calls) // 2], calls[-1]}:

        def fail(*_: Any) -> None:
            raise _OnPurpose

        for register in ("register_forward_pre_hook", "register_forward_hook"):
            handle = getattr(modules[name], register)(fail)
            handles.append(handle)
            try:
                resident.call(streamed)
            except _OnPurpose:
                pass
            else:
                raise Differs(f"the error raised in {name!r} went missing")
            finally:
                handle.remove()
            resident.check(streamed, f"the pass after an error in {name!r}")


class _Resident:
    """What a model in memory answers: the reference."""

    def __init__(self, model: nn.Module, inputs: dict[str, Tensor]) -> None:
        """Raises `NoPeer` where the model cannot run, or gives other bits the second time."""
        self.inputs = inputs
        self.called: list[str] = []
        try:
            with _listening(model, self.called):
                self.logits = self.call(model)
            again = self.call(model)
        except Exception as err:  # somebody else's forward, in memory
            raise NoPeer(f"the resident model fails: {_first_line(err)}") from err
        if not _same(self.logits, again):
            raise NoPeer("the resident model gives other bits the second time")
        if not self.logits.isfinite().all():
            raise NoPeer("the resident model gives values that are not finite")
        self.generated: list[Tensor] | None = None
        self.why_not_generated = ""
        try:
            self.generated = self.generate(model)
            if not _all_same(self.generated, self.generate(model)):
                self.generated, self.why_not_generated = (
                    None,
                    "the resident model generates other bits each time",
                )
        except Exception as err:  # somebody else's generate(), in memory
            self.generated, self.why_not_generated = (
                None,
                f"the resident model cannot generate: {_first_line(err)}",
            )

    def call(self, model: nn.Module) -> Tensor:
        """Logits `[batch, seq, vocabulary]`."""
        torch.manual_seed(5)
        with torch.no_grad():
            logits: Tensor = model(**_copied(self.inputs)).logits
        return logits

    def generate(self, model: Any) -> list[Tensor]:
        """Tokens of a greedy generation, and the logits that each was chosen by."""
        torch.manual_seed(5)
        found = model.generate(
            **_copied(self.inputs),
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
            num_beams=1,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return [found.sequences, *found.logits]

    def check(self, model: nn.Module, what: str) -> None:
        """Raise `Differs` where `model` gives other logits."""
        logits = self.call(model)
        if not _same(self.logits, logits):
            raise Differs(f"{what}: {_difference(self.logits, logits)}")

    def check_generation(self, model: nn.Module) -> None:
        """Raise `Differs` where `model` generates other tokens or logits."""
        if self.generated is None:
            return
        found = self.generate(model)
        for step, (expected, actual) in enumerate(zip(self.generated, found, strict=True)):
            if not _same(expected, actual):
                what = "tokens generated" if step == 0 else f"logits of generated token {step}"
                raise Differs(f"{what}: {_difference(expected, actual)}")


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))


def _all_same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return len(ones) == len(others) and all(
        _same(one, other) for one, other in zip(ones, others, strict=True)
    )


def _difference(expected: Tensor, actual: Tensor) -> str:
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return f"{list(actual.shape)} {actual.dtype} instead of {list(expected.shape)} {expected.dtype}"
    gap = (expected.double() - actual.double()).abs()
    most = f"{gap.max():.3g} of {expected.abs().max():.3g}"
    return f"{(gap != 0).sum()} of {gap.numel()} values differ, by up to {most}"


def _copied(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in inputs.items()}


def _first_line(err: Exception) -> str:
    return f"{type(err).__name__}: {one_line(str(err))}"


@contextmanager
def _listening(model: nn.Module, called: list[str]) -> Iterator[None]:
    """Note the modules without children that have weights of their own, as they are called."""
    handles = []
    for name, module in model.named_modules():
        if name and not list(module.children()) and list(module.parameters()):
            handles.append(module.register_forward_hook(lambda *_, name=name: called.append(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
