"""AirLLM 4.0.0: one decoder layer at a time from files of its own, the next one prefetched."""

__all__ = ["AirLLM", "install"]

import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.models import bench_directory
from bench.systems.system import System

_RELEASE = "airllm==4.0.0"


def _directory() -> Path:
    return bench_directory() / "airllm-4.0.0"


def install() -> Path:
    """Put the release and scipy (about 40 MB) where no other environment changes."""
    target = _directory()
    if not (target / "airllm").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--target",
            str(target),
            _RELEASE,
            "scipy",
        ]
        subprocess.run(command, check=True)
    return target


class AirLLM(System):
    """On the CPU, with a checkpoint without tokenizer: those two need saying, nothing else is changed."""

    name = "airllm"
    is_slow = True
    has_copy = True

    def load_libraries(self, spec: Any) -> None:
        super().load_libraries(spec)
        directory = _directory()
        if not directory.exists():
            raise RuntimeError(f"{_RELEASE} is not installed; run `python -m bench install-airllm`")
        if str(directory) not in sys.path:
            sys.path.append(str(directory))  # after everything else: it must not replace any library
        import airllm  # noqa: F401

    def prepare(self, spec: Any) -> None:
        self.open(spec)

    def open(self, spec: Any) -> Any:
        from airllm import AirLLMBaseModel

        class WithoutTokenizer(AirLLMBaseModel):  # type: ignore[misc]
            def get_tokenizer(self, hf_token: str | None = None) -> None:
                return None

        directory = self.copy_directory(spec)
        directory.mkdir(parents=True, exist_ok=True)
        return WithoutTokenizer(
            spec.model, device="cpu", max_seq_len=4096, layer_shards_saving_path=str(directory)
        )

    def close(self, model: Any) -> None:
        if model._executor is not None:
            model._executor.shutdown()
