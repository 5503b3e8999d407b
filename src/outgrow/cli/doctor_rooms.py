"""What each room can do with what was found on a machine, and what to install for the rest; pure."""

__all__ = ["Findings", "Package", "Part", "extras", "judge_rooms", "supported_torch", "what_to_install"]

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["yes", "reduced", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package that an extra brings."""

    name: str
    """As pip knows it."""
    module: str
    """As `import` knows it."""
    minimum: str
    """The oldest version that works."""


# What pyproject.toml says, in a form that is read without pip; a test holds the two together.
extras: Final[Mapping[str, tuple[Package, ...]]] = {
    "hf": (
        Package(name="transformers", module="transformers", minimum="5"),
        Package(name="gguf", module="gguf", minimum="0.17"),
    ),
    "codec": (Package(name="blosc2", module="blosc2", minimum="3"),),
    "gds": (Package(name="kvikio-cu12", module="kvikio", minimum="25.4"),),
    "web": (
        Package(name="starlette", module="starlette", minimum="0.46"),
        Package(name="uvicorn", module="uvicorn", minimum="0.34"),
    ),
    "shard": (Package(name="PyYAML", module="yaml", minimum="6"),),
    "evolve": (Package(name="scikit-learn", module="sklearn", minimum="1.5"),),
}
supported_torch: Final = ("2.11", "2.14")
"""The oldest version, and the first that is too new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found on a machine, as far as a room depends on it. The defaults are a machine with all."""

    torch: str | None = "2.13.0"
    """Version of torch; None where it cannot be imported."""
    torch_problem: str | None = None
    """Why not."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Versions of packages of `extras` that are there, by pip's names; `unknown` where nothing tells."""
    gpus: int = 0
    """CUDA devices that torch can use."""
    gpudirect: tuple[bool, str] = (False, "there is no CUDA device")
    """Whether it works, and why."""
    direct_reads: bool = True
    """Whether the disk that was looked at takes O_DIRECT."""
    disk: str = "the cache"
    """What was looked at, for the reason."""
    compiled_kernel: tuple[bool, str] = (True, "the compiled kernel does the work")
    """Whether compiled code measures tensors, now or once it has been compiled; and why."""
    has_compiler: bool = True
    """Whether there is a C compiler."""
    is_linux: bool = True
    """Whether this is Linux."""
    shared_memory_problem: str | None = None
    """Why no sealed file in memory (memfd) can be made; None where one was made."""
    loopback_problem: str | None = None
    """Why no process here can call another one on 127.0.0.1; None where one did."""
    has_gloo: bool = True
    """Whether torch was built with torch.distributed and gloo."""
    cpus: int = 2
    """CPUs that this process may keep busy."""
    has_display: bool = True
    """Whether a browser would have a window of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that a room does, and whether it does it here."""

    name: str
    """A few words, for the table."""
    state: State
    """`reduced`: it works, slower or with less; the reason says what."""
    reason: str
    """A phrase."""
    install: str | None = None
    """What to run or to install so that the state becomes better; None where nothing helps or is needed."""
    extra: str | None = None
    """The extra that is missing; None where none is."""


def judge_rooms(found: Findings) -> dict[str, dict[str, Part]]:
    """For every room its parts by key; the first part of each is what the room is for."""
    rooms = _rooms(found)
    if found.torch is not None:
        return rooms
    # Nothing was asked of the machine then, and nothing of this can be done.
    return {
        room: {
            key: part if part.state == "no" else Part(name=part.name, state="no", reason="needs torch")
            for key, part in parts.items()
        }
        for room, parts in rooms.items()
    }


def _rooms(found: Findings) -> dict[str, dict[str, Part]]:
    return {
        "stream": {
            "modules": _on_torch(found, _modules(found)),
            "hugging_face": _with("hf", ("transformers",), "Hugging Face models", found),
            "gpu": _gpu(found, "weights stream through pinned memory to it", "computes on the CPU"),
            "gpudirect": _gpudirect(found),
        },
        "shard": {
            "workers": _on_torch(found, _workers(found)),
            "gpu": _gpu(found, "workers compute on it, over NCCL", "workers compute on the CPU, over gloo"),
            "signal_files": _with("shard", ("PyYAML",), "signals in YAML files", found),
        },
        "evolve": {
            "networks": _on_torch(found, Part(name="any network", state="yes", reason="needs torch alone")),
            "digits": _with("evolve", ("scikit-learn",), "the data set `digits`", found),
        },
        "compare": {
            "runs": _on_torch(found, _runs(found)),
            "page": _page(found),
            "browser": _browser(found),
        },
        "store": {
            "checkpoints": _on_torch(
                found, Part(name="list, verify, convert", state="yes", reason="safetensors files and folders")
            ),
            "compressed": _with("codec", ("blosc2",), "compressed weights", found),
            "gguf": _with("hf", ("gguf", "transformers"), "GGUF files", found),
        },
    }


def what_to_install(rooms: Mapping[str, Mapping[str, Part]]) -> str | None:
    """One line for pip that brings every extra that is missing; None where none is."""
    missing = {part.extra for parts in rooms.values() for part in parts.values() if part.extra is not None}
    return _pip(sorted(missing)) if missing else None


def _pip(wanted: Iterable[str]) -> str:
    return f"pip install 'outgrow[{','.join(wanted)}]'"


def _with(extra: str, wanted: tuple[str, ...], name: str, found: Findings) -> Part:
    """A part that is there as soon as the packages of an extra are."""
    have = []
    for package in extras[extra]:
        if package.name not in wanted:
            continue
        version = found.packages.get(package.name)
        if version is None:
            return Part(
                name=name, state="no", reason=f"{package.name} is missing", install=_pip([extra]), extra=extra
            )
        if version != "unknown" and _numbers(version) < _numbers(package.minimum):
            return Part(
                name=name, state="no", extra=extra,
                reason=f"{package.name} {version} is older than {package.minimum}",
                install=f"pip install --upgrade 'outgrow[{extra}]'",
            )  # fmt: skip
        have.append(f"{package.name} {version}")
    return Part(name=name, state="yes", reason=" and ".join(have))


def _on_torch(found: Findings, part: Part) -> Part:
    """The part, unless torch is not one that it can rely on."""
    oldest, too_new = supported_torch
    remedy = f"pip install 'torch>={oldest},<{too_new}'"
    if found.torch is None:
        reason = f"torch cannot be imported: {found.torch_problem or 'it is not installed'}"
        return Part(name=part.name, state="no", reason=reason, install=remedy)
    if _numbers(oldest) <= _numbers(found.torch) < _numbers(too_new) or part.state == "no":
        return part
    reason = (
        f"torch {found.torch} is not one of those that outgrow is tested with, {oldest} to below {too_new}"
    )
    return Part(name=part.name, state="reduced", reason=reason, install=remedy)


def _modules(found: Findings) -> Part:
    name = "any model of torch"
    if found.direct_reads:
        return Part(name=name, state="yes", reason=f"direct reads work on {found.disk}")
    return Part(
        name=name, state="reduced", reason=f"buffered reads alone: {found.disk} takes no O_DIRECT",
        install="keep weights on a local ext4 or XFS disk",
    )  # fmt: skip


def _workers(found: Findings) -> Part:
    name = "programs on workers"
    for problem in (
        None if found.is_linux else "workers need Linux (fork, sealed memory)",
        None if found.has_gloo else "this torch was built without torch.distributed and gloo",
        found.shared_memory_problem and f"no shared memory: {found.shared_memory_problem}",
        found.loopback_problem and f"no connections on 127.0.0.1: {found.loopback_problem}",
    ):
        if problem:
            return Part(name=name, state="no", reason=problem)
    if found.cpus < 2:
        return Part(name=name, state="reduced", reason="one CPU, on which workers take turns")
    return Part(name=name, state="yes", reason=f"{found.cpus} CPUs; gloo, shared memory and loopback work")


def _gpu(found: Findings, how: str, otherwise: str) -> Part:
    if not found.gpus:
        return Part(name="a GPU", state="reduced", reason=f"no CUDA device: {otherwise}")
    count = "one CUDA device" if found.gpus == 1 else f"{found.gpus} CUDA devices"
    return Part(name="a GPU", state="yes", reason=f"{count}: {how}")


def _gpudirect(found: Findings) -> Part:
    is_usable, reason = found.gpudirect
    if is_usable:
        return Part(name="GPUDirect", state="yes", reason=reason)
    if found.gpus and extras["gds"][0].name not in found.packages:
        # `extra` stays empty: this one installs on few machines, and must not stop pip from the others.
        return Part(name="GPUDirect", state="no", reason="kvikio is missing", install=_pip(["gds"]))
    return Part(name="GPUDirect", state="no", reason=reason)


def _runs(found: Findings) -> Part:
    name = "runs and dumps"
    is_compiled, reason = found.compiled_kernel
    if is_compiled:
        return Part(name=name, state="yes", reason=reason)
    remedy = None if found.has_compiler else "install a C compiler (gcc or clang), or name one in CC"
    return Part(name=name, state="reduced", reason=f"{reason}; compiled code is far faster", install=remedy)


def _page(found: Findings) -> Part:
    part = _with("web", ("starlette", "uvicorn"), "the page, `outgrow web`", found)
    if part.state == "yes" and found.loopback_problem:
        return Part(
            name=part.name, state="no", reason=f"no connections on 127.0.0.1: {found.loopback_problem}"
        )
    return part


def _browser(found: Findings) -> Part:
    if found.has_display:
        return Part(name="a browser", state="yes", reason="`outgrow web` opens it")
    return Part(
        name="a browser", state="reduced", reason="no display here: `outgrow web` prints the URL to open"
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; `2.13.0+cpu` is (2, 13, 0)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in release[0].split(".")) if release else ()
