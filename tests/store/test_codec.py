import contextlib
import importlib
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.store import StoreCorrupt
from outgrow.store.codec import CODECS, LEVELS, Blosc2Codec, make_codec
from outgrow.testing.strategies import tensors

pytest.importorskip("blosc2")


@pytest.fixture(scope="module", params=CODECS)
def codec(request):
    return make_codec(request.param)


def decoded(codec, encoded, nbytes):
    into = bytearray(b"\xa5" * nbytes)
    codec.decode_into(encoded, memoryview(into))
    return bytes(into)


@given(tensor=tensors(), level=st.sampled_from(LEVELS))
def test_every_tensor_comes_back_exactly(codec, tensor, level):
    plain = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    encoded = codec.encode(plain, tensor.dtype.itemsize, level)
    assert decoded(codec, encoded, len(plain)) == plain


@given(plain=st.binary(max_size=5000), itemsize=st.integers(1, 20), part=st.integers(1, 700))
def test_any_bytes_come_back_exactly_in_parts(plain, itemsize, part):
    codec = Blosc2Codec()
    codec._PART_BYTES = part
    encoded = codec.encode(memoryview(plain), itemsize, 1)
    assert decoded(Blosc2Codec(), encoded, len(plain)) == plain


def test_weights_become_fewer_bytes(codec):
    weight = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0)).bfloat16()
    plain = weight.view(torch.uint8).numpy().tobytes()
    sizes = [len(codec.encode(plain, 2, level)) / len(plain) for level in (1, 5)]
    assert 0.6 < sizes[1] <= sizes[0] < 0.8


def test_more_than_one_part(codec):
    plain = torch.arange(9_000_000, dtype=torch.int32).numpy().tobytes()
    encoded = codec.encode(plain, 4, 1)
    assert len(encoded) < len(plain) / 4
    assert decoded(codec, encoded, len(plain)) == plain


def test_noise_grows_by_little(codec):
    plain = torch.randint(0, 256, (100_000,), dtype=torch.uint8).numpy().tobytes()
    encoded = codec.encode(plain, 1, 9)
    assert len(encoded) < len(plain) + 200
    assert decoded(codec, encoded, len(plain)) == plain


def test_other_threads_run_while_decoding():
    blosc2 = importlib.import_module("blosc2")
    blosc2.set_releasegil(False)
    make_codec("blosc2")
    # The switch tells what it was before; timing the threads instead would depend on the machine's load.
    assert blosc2.set_releasegil(True) is True


def test_room_must_fit(codec):
    encoded = codec.encode(bytes(100), 2, 1)
    for size in (99, 101, 0):
        with pytest.raises(InputError, match=f"100 plain bytes but there is room for {size}"):
            codec.decode_into(encoded, memoryview(bytearray(size)))


@pytest.mark.parametrize("change", [-100, -60, -28, -1, 1], ids=lambda change: f"{change:+d}")
def test_what_is_cut_or_grown_is_refused(codec, change):
    encoded = codec.encode(bytes(100), 2, 1)
    changed = encoded + b"x" if change > 0 else encoded[:change]
    with pytest.raises(StoreCorrupt):
        codec.decode_into(changed, memoryview(bytearray(100)))


@pytest.mark.parametrize("place", range(60))
def test_a_damaged_header_never_writes_past_the_end(codec, place):
    plain = torch.randn(500).numpy().tobytes()
    encoded = bytearray(codec.encode(plain, 4, 1))
    encoded[place] ^= 0xFF
    guarded = bytearray(b"\xa5" * (len(plain) + 4096))
    with contextlib.suppress(StoreCorrupt, InputError):
        codec.decode_into(encoded, memoryview(guarded)[: len(plain)])
    assert guarded[len(plain) :] == b"\xa5" * 4096


def test_a_part_larger_than_its_place_is_refused_before_it_is_decoded(codec):
    encoded = bytearray(codec.encode(bytes(5000), 4, 1))
    encoded[8:16] = (2000).to_bytes(8, "little")
    guarded = bytearray(b"\xa5" * 8192)
    with pytest.raises(StoreCorrupt, match="contradict their own header"):
        codec.decode_into(encoded, memoryview(guarded)[:2000])
    assert guarded[2000:] == b"\xa5" * 6192


@pytest.mark.parametrize("level", [0, 10, -1])
def test_levels_are_one_to_nine(codec, level):
    with pytest.raises(InputError, match="no compression level"):
        codec.encode(b"12", 2, level)


@pytest.mark.parametrize("itemsize", [0, 256])
def test_elements_have_a_size(codec, itemsize):
    with pytest.raises(InputError, match="elements cannot have"):
        codec.encode(b"12", itemsize, 1)


def test_an_unknown_codec_is_named_with_the_nearest():
    with pytest.raises(InputError, match="no codec is called 'blosc'") as caught:
        make_codec("blosc")
    assert "blosc2" in caught.value.hint


def test_a_missing_package_is_said_with_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(InputError, match="needs the package blosc2") as caught:
        make_codec("blosc2")
    assert "pip install 'outgrow[codec]'" in caught.value.hint
    monkeypatch.undo()
    assert importlib.import_module("blosc2")
