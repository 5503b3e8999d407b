"""Recording somebody's script: whatever modules it calls, from the first call to its end."""

__all__ = ["ScriptRecording", "begin_recording"]

import atexit
import contextlib
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from outgrow.capture.attachment import Attachment, is_compiled
from outgrow.capture.recorder import Recorder
from outgrow.capture.recording_folder import run_place
from outgrow.errors import OutgrowError


class ScriptRecording:
    """Attaches a recorder to every module that is called from outside of all modules.

    The first of them gives steps their beginning, and its modules keep their names; those of another have
    its class before them: `CrossEntropyLoss.output`, `Critic#2.layers.0.output`.
    """

    def __init__(self, recorder: Recorder, *, only: str = "*") -> None:
        self._recorder, self._only = recorder, only
        self._known: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._attached: list[Attachment] = []
        self._classes: Counter[str] = Counter()
        self._inside = threading.local()
        self._hooks = contextlib.ExitStack()
        if "optimizer" in recorder.kinds:
            self._hooks.callback(register_optimizer_step_post_hook(self._after_step).remove)

    def call(
        self, plain: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call `module` by `plain`; where no other module is doing that, it is watched from now on."""
        # Code that torch.compile looks into must not meet the rest of this.
        if torch.compiler.is_compiling() or getattr(self._inside, "module", None) is not None:
            return plain(module, *args, **kwargs)
        # Copies that DataParallel makes for each call have the modules they are copies of.
        if module not in self._known and not hasattr(module, "_former_parameters"):
            self._meet(module)
        self._inside.module = module
        try:
            return plain(module, *args, **kwargs)
        finally:
            self._inside.module = None

    def close(self) -> None:
        """End the recording; a failure is said on stderr, since the script is over."""
        self._hooks.close()
        error = getattr(sys, "last_value", None)
        try:
            self._recorder.close(error)
        except (OutgrowError, OSError) as err:
            _say(str(err))

    def _meet(self, model: nn.Module) -> None:
        kind = type(model).__name__
        self._classes[kind] += 1
        number = self._classes[kind]
        prefix = "" if not self._attached else kind if number == 1 else f"{kind}#{number}"
        compiled = is_compiled(model)
        if compiled is not None:
            self._recorder.refuse(
                prefix or kind, f"it is compiled, and calls within it cannot be seen: {kind}"
            )
        else:
            attachment = Attachment(
                self._recorder,
                model,
                only=self._only,
                prefix=prefix,
                begins_steps=not self._attached,
                others=frozenset(map(id, self._known)),
            )
            self._hooks.enter_context(attachment)
            self._attached.append(attachment)
        self._known.update(model.modules())

    def _after_step(self, optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        for attachment in self._attached:
            attachment.take_state(optimizer)


def begin_recording(options: Mapping[str, Any]) -> ScriptRecording | None:
    """Begin the recording of this process, which ends when it does; None, with a line on stderr, where it
    cannot begin.

    `options` are `path`, and where they are given `only`, `kinds` and `max_bytes`.
    """
    kinds: Sequence[str] = options.get("kinds") or ("outputs",)
    only = options.get("only", "*")
    try:
        recorder = Recorder(
            Path(options["path"]),
            run_place(),
            kinds=kinds,
            max_bytes=options.get("max_bytes"),
            about={"only": only, "kinds": list(kinds), "command": sys.argv[:1]},
        )
    except OutgrowError as err:
        _say(err.message)
        return None
    recording = ScriptRecording(recorder, only=only)
    atexit.register(recording.close)
    return recording


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"outgrow record: {text}\n")
