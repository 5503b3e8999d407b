"""What `tensor.data` gives: the numbers, fetched, as numpy has them."""

__all__ = ["HostArray"]

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class HostArray(np.ndarray[Any, np.dtype[Any]]):
    """A numpy array with `.numpy()`. Read-only: writing into it would change nothing on the workers."""

    @classmethod
    def of(cls, tensor: Tensor) -> "HostArray":
        """The contents of a tensor of the CPU."""
        if not tensor.dtype.is_floating_point or tensor.dtype.itemsize >= 2:
            tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
        made = tensor.detach().numpy().view(cls)
        made.flags.writeable = False
        return made

    def numpy(self) -> NDArray[Any]:
        """An array of the caller's own, which may be written."""
        return np.array(self, subok=False)
