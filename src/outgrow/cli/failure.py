"""What went wrong, on stderr and in one style, what happened to what and a hint; and the exit code."""

__all__ = ["report_failure"]

import errno
import re
import sys
import traceback
from collections.abc import Sequence

import click

from outgrow.cli import render
from outgrow.errors import InputError, OutgrowError, hint_for, nearest_names, no_temporary_directory

# What only the user or who runs the machine can change, whichever line of ours meets it first. A file that is
# not there is not among these: who looks for one says which, so that it would be a fault of ours.
_NOT_OURS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE),
)


# click's words for what a value is not, and ours.
_KINDS = (
    (re.compile(r"is not a valid integer( range)?$"), "is not a whole number"),
    (re.compile(r"is not a valid float( range)?$"), "is not a number"),
    (re.compile(r"\. Choose from: "), ": one of "),
    (re.compile(r"'\[(\w+)\]'"), r"'\1'"),
)


def report_failure(error: Exception, *, command: str, fault_code: int) -> int:
    """Say what went wrong in `command`, as `outgrow store ls`, and give the exit code: `fault_code` where the
    fault is ours."""
    error = no_temporary_directory(error) or error
    if isinstance(error, OutgrowError):
        hint = error.hint
        if hint is None and isinstance(error, InputError):
            hint = f"`{command} --help` shows what it takes"
        render.error(error.message, hint=hint, kind=type(error).__name__)
        return 2
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        sys.stderr.write(error.format_message() + "\n")
        return 2
    if isinstance(error, click.ClickException):
        render.error(_usage_message(error), hint=_usage_hint(error), kind="InputError")
        return 2
    if isinstance(error, OSError) and error.errno in _NOT_OURS:
        render.error(
            f"{error.filename or 'the output'}: {error.strerror}", hint=hint_for(error), kind="StoreError"
        )
        return 2
    sys.stderr.write("".join(traceback.format_exception(error)).rstrip() + "\n")
    render.error(
        "this is a fault in outgrow, not in what you did",
        hint="please report it with the lines above and the output of `outgrow doctor --json`",
        kind="Fault",
    )
    return fault_code


def _usage_message(error: click.ClickException) -> str:
    """click's words in our style: a small letter first, no full stop last, and no hint within."""
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name!r}"
    text = " ".join(error.format_message().split()).rstrip(".")
    for pattern, ours in _KINDS:
        text = pattern.sub(ours, text)
    return text[:1].lower() + text[1:]


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "outgrow"
    how = f"`{path} --help` shows how it is called"
    near: Sequence[str] | None = None
    parameter = error.param if isinstance(error, click.BadParameter) else None
    if isinstance(error, click.NoSuchOption):
        near = error.possibilities
    elif parameter is not None and isinstance(parameter.type, click.Choice):
        given = re.match(r"'(.*?)' is not one of ", error.message)
        near = nearest_names(given[1], map(str, parameter.type.choices)) if given else None
    return f"did you mean: {', '.join(near)}? {how}" if near else how
