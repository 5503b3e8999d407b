"""Channels that become places and places that become channels; complex numbers and spectra."""

__all__ = ["layout_rules"]

from typing import Any

from outgrow.evolve.coupling.cutting import bundle, split_front
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace

_PLACE = "is a place of the inputs"


def _with_places(x: Labels, leading: tuple[Extent, ...], result: Any) -> Labels:
    """Labels of `result`: these dims, and places behind them; the places of `x` are fixed, too."""
    places = [Extent(size, frozen=_PLACE) for size in result.shape[len(leading) :]]
    for extent in x.extents[len(leading) :]:
        extent.freeze(_PLACE)
    return Labels(extents=(*leading, *places))


def _product(extent: Extent, size: int) -> Extent:
    """Each index of `extent`, `size` times: the channels of a patch."""
    return bundle([extent, Extent(size, frozen="is the size of a patch")], extent.size * size)


def _im2col(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    patch = args[1][0] * args[1][1]
    lead = len(x.extents) - 3
    leading = (*x.extents[:lead], _product(x.extents[lead], patch))
    trace.label(result, _with_places(x, leading, result))


def _col2im(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    lead = len(x.extents) - 2
    channels, patch = split_front(x.extents[lead], result.shape[lead])
    patch.freeze("is the size of a patch")
    trace.label(result, _with_places(x, (*x.extents[:lead], channels), result))


def _pixel_shuffle(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    lead = len(x.extents) - 3
    channels, patch = split_front(x.extents[lead], result.shape[lead])
    patch.freeze("is the size of a patch")
    trace.label(result, _with_places(x, (*x.extents[:lead], channels), result))


def _pixel_unshuffle(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    lead = len(x.extents) - 3
    leading = (*x.extents[:lead], _product(x.extents[lead], args[1] ** 2))
    trace.label(result, _with_places(x, leading, result))


def _channel_shuffle(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    groups, rest = split_front(x.extents[1], args[1])
    mixed = bundle([rest, groups], x.extents[1].size)
    trace.label(result, Labels(extents=(x.extents[0], mixed, *x.extents[2:])))


def _unfold(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    extents = list(x.extents)
    if extents:  # of a scalar there is nothing but the new dim
        dim = args[1] % len(extents)
        extents[dim].freeze(_PLACE)
        extents[dim] = Extent(result.shape[dim], frozen=_PLACE)
    trace.label(result, Labels(extents=(*extents, Extent(result.shape[-1], frozen=_PLACE))))


def _grid_sampler(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    trace.labels(args[1]).frozen(_PLACE)
    trace.label(result, _with_places(x, x.extents[:2], result))


def _as_strided_(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    """Pooling to one place ends so: other strides of dims of one index say nothing else of the rest."""
    x, shape, strides = trace.labels(args[0]), args[1], args[2]
    expected, is_same = 1, list(shape) == [extent.size for extent in x.extents] and not any(args[3:])
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        is_same &= size == 1 or stride == expected
        expected *= size
    if not is_same:
        x.frozen(f"{trace.who} changes its strides")
    trace.label(result, x if is_same else trace.fresh(result, "has other strides"))


def _view_as_real(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    trace.label(result, Labels(extents=(*x.extents, Extent(2, frozen="is real and imaginary"))))


def _view_as_complex(
    trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any
) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    x.extents[-1].freeze("is real and imaginary")
    trace.label(result, Labels(extents=x.extents[:-1]))


def _spectrum(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    extents = list(x.extents)
    for dim in args[1]:
        extents[dim].freeze("is turned into a spectrum")
        extents[dim] = Extent(result.shape[dim], frozen="is a frequency")
    trace.label(result, Labels(extents=tuple(extents)))


def _diagonal(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    one, two = (dim % len(x.extents) for dim in (*args[2:4], *(0, 1)[len(args[2:4]) :]))
    why = f"{trace.who} takes its diagonal"
    for dim in (one, two):
        x.extents[dim].freeze(why)
    rest = [extent for dim, extent in enumerate(x.extents) if dim not in (one, two)]
    trace.label(result, Labels(extents=(*rest, Extent(result.shape[-1], frozen=why))))


def _triangle(trace: Trace, _func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], result: Any) -> None:
    x = trace.labels(args[0])
    trace.use_all(x)
    for extent in x.extents[-2:]:
        extent.freeze(f"{trace.who} keeps a triangle of it")
    trace.label(result, Labels(extents=x.extents))


layout_rules: dict[str, Any] = {
    "im2col": _im2col,
    "col2im": _col2im,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "unfold": _unfold,
    "grid_sampler_2d": _grid_sampler,
    "grid_sampler_3d": _grid_sampler,
    "as_strided_": _as_strided_,
    "view_as_real": _view_as_real,
    "view_as_complex": _view_as_complex,
    "_fft_r2c": _spectrum,
    "_fft_c2c": _spectrum,
    "_fft_c2r": _spectrum,
    "diagonal": _diagonal,
    "tril": _triangle,
    "triu": _triangle,
    "tril_": _triangle,
    "triu_": _triangle,
}
"""Private to the rules: the ops that lay channels and places out differently."""
