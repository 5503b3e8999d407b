"""The model that a run begins with: by name, or made by a function in somebody's script."""

__all__ = ["MODELS", "make_model"]

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.run.networks import ConvNet, ResidualNet

MODELS: Mapping[str, Callable[[int, int], nn.Module]] = {"cnn": ConvNet, "resnet": ResidualNet}
"""Models by name; each takes the channels of a picture and the number of classes."""

_FORM = "give cnn, resnet, or SCRIPT:factory, as in nets.py:make_net"


def make_model(name: str, *, shape: Sequence[int], classes: int, seed: int) -> nn.Module:
    """Make a model with the weights that `seed` gives; the random state is put back.

    A factory is called with those of `channels`, `classes` and `shape` (channels, height, width) that it has
    as parameters.

    Raises:
        InputError: there is no such model, script or factory, it fails, or what it gives is no module.
    """
    make: Callable[[], Any]
    if name in MODELS:
        make = lambda: MODELS[name](shape[0], classes)  # noqa: E731
    elif ":" in name:
        script, _, factory = name.rpartition(":")
        make = _factory(Path(script).expanduser(), factory, tuple(shape), classes)
    else:
        near = ", ".join(nearest_names(name, MODELS) or MODELS)
        raise InputError(f"there is no model {name!r}", hint=f"did you mean {near}? {_FORM}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            model = make()
        except Exception as err:
            raise InputError(f"{name!r} fails: {type(err).__name__}: {err}", hint=_FORM) from err
    if not isinstance(model, nn.Module):
        raise InputError(f"{name!r} gave a {type(model).__name__} and not a torch.nn.Module", hint=_FORM)
    return model


def _factory(script: Path, name: str, shape: tuple[int, ...], classes: int) -> Callable[[], Any]:
    if not script.is_file():
        raise InputError(f"no such script: {str(script)!r}", hint=_FORM)
    found = getattr(_module(script), name, None)
    if not callable(found):
        raise InputError(f"{str(script)!r} has no function {name!r}", hint=_FORM)
    offered = {"channels": shape[0], "classes": classes, "shape": shape}
    parameters = inspect.signature(found).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return lambda: found(**offered)
    needed = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_POSITIONAL]
    for one in needed:
        if one.name not in offered:
            raise InputError(
                f"{name!r} needs {one.name!r}", hint=f"a factory is given {', '.join(offered)}, by name"
            )
    return lambda: found(**{one.name: offered[one.name] for one in parameters if one.name in offered})


def _module(script: Path) -> Any:
    # By a name of its own, so that pickles and tracebacks of the script find it again.
    name = f"outgrow_script_{script.stem}"
    spec = importlib.util.spec_from_file_location(name, script)
    if spec is None or spec.loader is None:
        raise InputError(f"{str(script)!r} is no Python script", hint=_FORM)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as err:
        del sys.modules[name]
        if isinstance(err, Exception):
            raise InputError(f"{str(script)!r} fails: {type(err).__name__}: {err}", hint=_FORM) from err
        raise
    return module
