"""The folders of this machine that the page may look into."""

__all__ = ["Roots"]

from collections.abc import Sequence
from pathlib import Path

from outgrow.compare.web.refusal import ApiError
from outgrow.errors import InputError


class Roots:
    """Resolves what a call names, links first, and lets nothing out of the roots."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Raises:
        InputError: one of them is no folder."""
        self.folders: tuple[Path, ...] = ()
        """As they are called without links."""
        for folder in folders:
            try:
                found = folder.expanduser().resolve(strict=True)
            except (OSError, RuntimeError) as err:
                reason = getattr(err, "strerror", None) or err
                raise InputError(
                    f"cannot open the root {str(folder)!r}: {reason}", hint="check the spelling"
                ) from err
            if not found.is_dir():
                raise InputError(
                    f"the root {str(folder)!r} is no folder", hint="give the folder that it lies in"
                )
            if found not in self.folders:
                self.folders = (*self.folders, found)

    def find(self, text: str) -> Path:
        """What a call names, without links.

        Raises:
            ApiError: it is not there, or lies elsewhere; of what lies elsewhere nobody learns whether it is
                there.
        """
        try:
            given = Path(text)
            path = given.resolve()
            if not (given.is_absolute() and self.holds(path)):
                raise ApiError(
                    f"{text!r} is not below a folder that the page may open",
                    status=403, code="root", hint="start `outgrow web` with --root FOLDER",
                )  # fmt: skip
            return path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as err:
            reason = getattr(err, "strerror", None) or err
            raise ApiError(
                f"cannot open {text!r}: {reason}", status=404, code="path", hint="look again"
            ) from err

    def holds(self, path: Path) -> bool:
        """Whether a path without links is a root or lies below one."""
        return any(path.is_relative_to(folder) for folder in self.folders)
