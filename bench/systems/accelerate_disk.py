"""`accelerate.disk_offload`: weights in files of its own, loaded by hooks for each module."""

__all__ = ["AccelerateDisk"]

import shutil
from pathlib import Path
from typing import Any

from bench.models import weight_files
from bench.systems.mmap import empty_model
from bench.systems.system import System


class AccelerateDisk(System):
    """The second copy is written beforehand: `disk_offload` itself would need all weights in memory."""

    name = "accelerate"
    is_slow = True
    has_copy = True

    def load_libraries(self, spec: Any) -> None:
        super().load_libraries(spec)
        import accelerate  # noqa: F401

    def prepare(self, spec: Any) -> None:
        from accelerate.utils import offload_weight, save_offload_index
        from safetensors import safe_open

        directory = self.copy_directory(spec)
        if (directory / "index.json").exists():
            return
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        index: dict[str, Any] = {}
        for path in weight_files(Path(spec.model)):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118  # not a mapping
                    index = offload_weight(file.get_tensor(name), name, directory, index=index)
        save_offload_index(index, directory)

    def open(self, spec: Any) -> Any:
        import torch
        from accelerate import disk_offload

        return disk_offload(
            empty_model(spec), self.copy_directory(spec), execution_device=torch.device("cpu")
        )
