"""Run by Python as it starts, when this folder is on its path: the first call of a module begins a recording.

Nothing is imported here but the standard library, and torch is not loaded for scripts that do not load it.
Another `sitecustomize` further down the path is run as if this one were not there.
"""

__all__: list[str] = []

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_VARIABLE = "OUTGROW_RECORD"
_MODULES = "torch.nn.modules.module"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds torch's module of modules as everybody else does, and has it armed once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _arm(module.Module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _arm(module_class: Any) -> None:
    """Have every call of a module pass by the recording, which begins with the first one."""
    plain = module_class.__call__
    recordings: list[Any] = []

    @functools.wraps(plain)
    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        if not recordings:
            recordings.append(None)  # should beginning one call modules
            recordings[0] = _begin()
        if recordings[0] is None:
            return plain(module, *args, **kwargs)
        return recordings[0].call(plain, module, args, kwargs)

    module_class.__call__ = call


def _begin() -> Any:
    """The recording, or None with a line on stderr where this Python cannot."""
    try:
        from outgrow.capture.script_recording import begin_recording
    except ImportError as err:
        print(f"outgrow record: {sys.executable} cannot import outgrow: {err}", file=sys.stderr)  # noqa: T201
        return None
    return begin_recording(json.loads(os.environ[_VARIABLE]))


def _run_the_next() -> None:
    """Run the `sitecustomize` that this one is in front of, if there is one."""
    here = Path(__file__).parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


# Imported by anybody else, as tests and documentation do, it does nothing.
if __name__ == "sitecustomize":
    if _VARIABLE in os.environ:
        sys.meta_path.insert(0, _Finder())
    _run_the_next()
