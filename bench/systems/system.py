"""What every measured system offers: a checkpoint opened, to call like a causal language model."""

__all__ = ["System"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class System:
    """A way to run a checkpoint. A subclass gives `open`; the rest has defaults."""

    name = ""
    """As in `SYSTEMS`."""
    has_budget = False
    """Whether `spec.budget_bytes` means anything to it."""
    is_slow = False
    """Whether seconds per token are so many that cases ask for fewer tokens."""
    has_copy = False
    """Whether `prepare` must have run once for a checkpoint."""

    def load_libraries(self, spec: Any) -> None:
        """Import all that `open` needs, so that neither time nor memory of imports is charged to it."""
        import torch  # noqa: F401
        import transformers

        transformers.AutoModelForCausalLM  # noqa: B018  # lazy: the attribute is the import
        from transformers.models.llama import modeling_llama  # noqa: F401

        transformers.utils.logging.disable_progress_bar()

    def prepare(self, spec: Any) -> None:
        """Write the system's own copy of the weights, where it needs one; not measured, not limited."""

    def copy_directory(self, spec: Any) -> Path:
        """Where this system may keep its own copy of this checkpoint."""
        return Path(spec.work) / f"{Path(spec.model).name}-{self.name}"

    def own_files(self, spec: Any) -> Sequence[Path]:
        """Files of its own copy, to be dropped from the page cache too."""
        directory = self.copy_directory(spec)
        return tuple(p for p in sorted(directory.rglob("*")) if p.is_file()) if directory.exists() else ()

    def open(self, spec: Any) -> Any:
        """The model, ready for `model(input_ids=…, past_key_values=…, use_cache=True)`."""
        raise NotImplementedError

    def statistics(self, model: Any) -> dict[str, Any] | None:
        """What the system itself counts, as JSON; None where it counts nothing."""
        return None

    def close(self, model: Any) -> None:
        """Let go of threads and files, where the system can."""
