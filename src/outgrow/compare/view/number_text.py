"""Numbers as text, exactly and as short as possible, and as values for colours."""

__all__ = ["texts", "values"]

import torch
from torch import Tensor


def texts(numbers: Tensor) -> list[str]:
    """`[elements]` of any dtype, each as text.

    Whole numbers and bools as `int` and `bool` write them, with all their digits; float64 as `float` does.
    Narrower floats with as few digits as no other number of float32 has, also those of 16 and 8 bits: beside
    another dtype 12352 must not read 12350, though that would tell it from its neighbours in bfloat16.
    Complex numbers as `complex` does, of such parts.
    """
    if numbers.is_complex():
        array = numbers.numpy()
        if numbers.dtype == torch.complex128:
            return [repr(number) for number in array.tolist()]
        return [str(number) for number in array]
    if numbers.is_floating_point() and numbers.dtype != torch.float64:
        # numpy knows the shortest text, Python when to write an exponent.
        return [repr(float(str(number))) for number in numbers.float().numpy()]
    return [repr(number) for number in _python(numbers)]


def values(numbers: Tensor) -> list[float | int]:
    """`[elements]` for colours: of complex numbers the modulus, of bools 0 and 1."""
    if numbers.is_complex():
        parts = torch.view_as_real(numbers).double()
        moduli = parts[:, 0].hypot(parts[:, 1])
        # The modulus of an infinite number with a NaN part is infinite to C, but such a number is a NaN here.
        found: list[float | int] = moduli.masked_fill_(parts.isnan().any(dim=1), torch.nan).tolist()
        return found
    return [int(number) if isinstance(number, bool) else number for number in _python(numbers)]


def _python(numbers: Tensor) -> list[float | int | bool]:
    array = (numbers.double() if numbers.is_floating_point() else numbers).numpy()
    found: list[float | int | bool] = array.tolist()
    return found
