"""Files made to harm: refused by name, in little time and memory, with nothing run.

Each is opened, and all that it gives read, in a process of its own that reports what it touched.
"""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.compare.readers.pickle_maker import (
    call,
    counts,
    dict_of,
    name,
    number,
    storage,
    tensor,
    text,
    torch_legacy,
    torch_zip,
)

Ask = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def probe() -> Iterator[Ask]:
    """Opens a path in a fresh process; fails where that took too much, or touched anything."""
    command = [sys.executable, str(Path(__file__).with_name("file_probe.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(path: Path) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            assert answer, "the process died"
            assert answer["events"] == []
            assert answer["seconds"] < 5, answer["seconds"]
            assert answer["extra_kb"] < 200_000, answer["extra_kb"]
            return answer

        yield ask
        assert process.stdin is not None
        process.stdin.close()


class Touch:
    """Runs a command where anybody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


def npy(header: str, data: bytes = b"") -> bytes:
    raw = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


def deep(levels: int, opening: bytes, closing: bytes) -> bytes:
    return opening * levels + number(1) + closing * levels


def laughing(levels: int) -> bytes:
    """A list of ten times a list of ten times ... a tensor, each written once."""
    body = tensor() + b"q\x01"
    for level in range(1, levels):
        body += b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
    return body


def many_storages(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02].")
        for index in range(count):
            file.writestr(f"archive/data/{index}", b"")
    return out.getvalue()


def bomb(nbytes: int) -> bytes:
    return torch_zip(
        tensor((nbytes // 4,), numel=nbytes // 4), storages={"0": bytes(nbytes)}, method=zipfile.ZIP_DEFLATED
    )


def rebuilt(kept: bytes, shape: bytes = counts(4), stride: bytes = counts(1), *more: bytes) -> bytes:
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", kept, number(0), shape, stride, b"\x89", hooks, *more)


def kept(key: bytes) -> bytes:
    """A mention of a storage by a key that is no text in the pickle yet."""
    return b"(" + text("storage") + name("torch.FloatStorage") + key + text("cpu") + number(4) + b"tQ"


def flagged(flags: bytes) -> bytes:
    return rebuilt(storage(), counts(4), counts(1), flags)


def array(nbytes: int, data: bytes) -> bytes:
    """A numpy array of bytes as it is pickled."""
    code = call("numpy.dtype", text("u1"), b"\x89", b"\x88")
    begun = name("numpy._core.multiarray._reconstruct") + b"(" + name("numpy.ndarray") + counts(0) + b"C\1btR"
    return begun + b"(" + number(1) + counts(nbytes) + code + b"\x89" + data + b"tb"


MERSENNE = 2**61 - 1  # integers are hashed by their rest when divided by it
LONG = "x" * 20_000_000
BIG = 2**40
HUGE = call("collections.OrderedDict")
# What is in each file, and what has to be said of it.
CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "bytearray of a terabyte": (
        ".pth",
        lambda: torch_zip(call("builtins.bytearray", number(BIG))),
        "no tensors",
    ),
    "torch.Tensor of a terabyte": (
        ".pth",
        lambda: torch_zip(call("torch.Tensor", number(BIG))),
        "torch.Tensor",
    ),
    "torch.empty": (".pth", lambda: torch_zip(call("torch.empty", number(BIG))), "torch.empty"),
    "eval": (".pth", lambda: torch_zip(call("builtins.eval", text("1+1"))), "builtins.eval"),
    "os.system": (".pth", lambda: torch_zip(call("os.system", text("true"))), "os.system"),
    "getattr of a module": (
        ".pth",
        lambda: torch_zip(call("builtins.getattr", name("os.path"), text("join"))),
        "getattr",
    ),
    "a global alone": (".pth", lambda: torch_zip(name("os.system")), "os.system"),
    "stride 0 of huge extent": (".pth", lambda: torch_zip(tensor((BIG, 4), (0, 1))), "max_"),
    "stride 0, overflowing": (".pth", lambda: torch_zip(tensor((2**40, 2**40), (0, 0))), "more elements"),
    "overlapping": (".pth", lambda: torch_zip(tensor((2**20, 2**20), (0, 0), numel=1)), "max_"),
    "negative stride": (".pth", lambda: torch_zip(tensor((4,), (-1,))), "counts"),
    "negative size": (".pth", lambda: torch_zip(tensor((-4,), (1,))), "counts"),
    "beyond its storage": (".pth", lambda: torch_zip(tensor((5,), (1,))), "ends at byte 20"),
    "storage longer than it is": (
        ".pth",
        lambda: torch_zip(tensor((5,), (1,), numel=5)),
        "needs a storage of 20",
    ),
    "a storage that is missing": (".pth", lambda: torch_zip(tensor(key="9")), "missing"),
    "shape that is text": (
        ".pth",
        lambda: torch_zip(
            call("torch._utils._rebuild_tensor_v2", storage(), number(0), text("x"), counts(1), b"\x89", HUGE)
        ),
        "counts",
    ),
    "too few arguments": (".pth", lambda: torch_zip(call("torch._utils._rebuild_tensor_v2")), "arguments"),
    "64 dims and more": (".pth", lambda: torch_zip(tensor((1,) * 100, (1,) * 100)), "dims"),
    "one storage a thousand times": (
        ".pth",
        lambda: torch_zip(b"](" + tensor((2**18,), numel=2**18) * 5000 + b"e", storages={"0": bytes(2**20)}),
        "max_ratio",
    ),
    "sparse of huge extent": (
        ".pth",
        lambda: torch_zip(
            call(
                "torch._utils._rebuild_sparse_tensor",
                name("torch.sparse_coo"),
                b"(" + tensor((1, 1), (1, 1)) + tensor((1,)) + counts(BIG, 4) + b"\x89t",
            )
        ),
        "max_",
    ),
    "deep lists": (".pth", lambda: torch_zip(deep(100_000, b"](", b"e")), "max_depth"),
    "deep tuples": (".pth", lambda: torch_zip(number(1) + b"\x85" * 1_000_000), "max_depth"),
    "a deep tuple as a key": (
        ".pth",
        lambda: torch_zip(b"}" + number(1) + b"\x85" * 300_000 + tensor() + b"s"),
        "",
    ),
    "deep calls": (
        ".pth",
        lambda: torch_zip(name("torch._utils._rebuild_parameter") * 1000 + tensor() + b"\x85R" * 1000),
        "function",
    ),
    "a list that holds itself": (".pth", lambda: torch_zip(b"]q\x01h\x01a"), "max_depth"),
    "billion laughs": (".pth", lambda: torch_zip(laughing(12)), "max_entries"),
    "laughs without tensors": (
        ".pth",
        lambda: torch_zip(
            b"]q\x01"
            + b"".join(
                b"](" + b"h" + bytes([level]) * 1 + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
                for level in range(1, 20)
            )
        ),
        "nested",
    ),
    "keys that collide": (
        ".pth",
        lambda: torch_zip(b"}(" + b"".join(number(k * (2**61 - 1)) + b"N" for k in range(30_000)) + b"u"),
        "no tensors",
    ),
    "flags that collide": (
        ".pth",
        lambda: torch_zip(
            flagged(b"}(" + b"".join(number(k * MERSENNE) + b"N" for k in range(40_000)) + b"u")
        ),
        "flags",
    ),
    "a key of megabytes, often": (
        ".pth",
        lambda: torch_zip(dict_of(a=b"}(" + text(LONG) + b"q\1N" + b"h\1N" * 300_000 + b"u")),
        "characters",
    ),
    "a tuple of keys of megabytes, often": (
        ".pth",
        lambda: torch_zip(
            b"}((" + text(LONG) + b"q\1" + b"h\1" * 7 + b"tq\2" + call("os.x") + b"h\2N" * 1000 + b"u"
        ),
        "os.x",
    ),
    "a storage's name of megabytes, often": (
        ".pth",
        lambda: torch_zip(
            b"](" + text(LONG) + b"q\1" + b"".join(rebuilt(kept(b"h\1")) for _ in range(3000)) + b"e"
        ),
        "no storage",
    ),
    "a shape of millions of dims, often": (
        ".pth",
        lambda: torch_zip(
            b"]("
            + (number(1) * 2_000_000).join([b"(", b"tq\1"])
            + rebuilt(storage(), b"h\1", b"h\1") * 300
            + b"e"
        ),
        "max_",
    ),
    "one array a thousand times": (
        ".pth",
        lambda: torch_zip(
            b"]("
            + array(1_000_000, b"B" + struct.pack("<I", 1_000_000) + bytes(1_000_000) + b"q\1")
            + array(1_000_000, b"h\1") * 600
            + b"e"
        ),
        "max_ratio",
    ),
    "text of megabytes as the bytes of numbers, often": (
        ".pth",
        lambda: torch_zip(
            b"]("
            + text("\xff" * 10_000_000)
            + b"q\1"
            + array(8, call("_codecs.encode", b"h\1", text("latin1"))) * 3000
            + b"e"
        ),
        "10,000,000 bytes",
    ),
    "many deflated zeros": (
        ".npz",
        lambda: zipped({f"{index}.npy": saved(np.zeros(5_000_000, np.float32)) for index in range(10)}),
        "max_ratio",
    ),
    "a name of megabytes": (
        ".safetensors",
        lambda: safetensors(json.dumps({"n" * 30_000_000: entry()}).encode(), bytes(8)),
        "characters",
    ),
    "120,000 tensors": (
        ".pth",
        lambda: torch_zip(b"}(" + b"".join(text(f"layer.{k}") + tensor() for k in range(120_000)) + b"u"),
        "max_",
    ),
    "120,000 numbers": (
        ".pth",
        lambda: torch_zip(b"}(" + b"".join(text(f"layer.{k}") + number(k) for k in range(120_000)) + b"u"),
        "max_entries",
    ),
    "120,000 storages": (".pth", lambda: many_storages(120_000), "the limit is 100,000"),
    "none of millions": (".pth", lambda: torch_zip(b"](" + b"N" * 1_000_000 + b"e"), "too many values"),
    "millions of dicts": (".pth", lambda: torch_zip(b"](" + b"}" * 2_200_000 + b"e"), "max_header_bytes"),
    "millions of memos": (
        ".pth",
        lambda: torch_zip(b"N" + b"".join(b"r" + struct.pack("<I", k) for k in range(2_000_000))),
        "max_header_bytes",
    ),
    "a memo far out": (".pth", lambda: torch_zip(b"Nr\xff\xff\xff\xff"), "no tensors"),
    "a text of 4 GiB": (".pth", lambda: torch_zip(b"X\xff\xff\xff\xff"), "max_header_bytes"),
    "bytes of 8 EiB": (".pth", lambda: torch_zip(b"\x8e" + b"\xff" * 7 + b"\x7f"), "max_header_bytes"),
    "an integer of a megabyte": (
        ".pth",
        lambda: torch_zip(b"\x8b" + struct.pack("<I", 2**20) + bytes([127]) * 2**20),
        "64 bits",
    ),
    "an instruction of Python 2": (".pth", lambda: torch_zip(b"(ios\nsystem\n"), "instruction"),
    "an extension": (".pth", lambda: torch_zip(b"\x82\x01"), "instruction"),
    "a name without end": (".pth", lambda: torch_zip(b"c" + b"a" * 100_000), "damaged"),
    "marks without end": (".pth", lambda: torch_zip(b"(" * 2_200_000), "max_header_bytes"),
    "nothing on the stack": (".pth", lambda: torch_zip(b"R"), "damaged"),
    "bomb of 200 MB": (".pth", lambda: bomb(200_000_000), "max_ratio"),
    "TorchScript": (
        ".pt",
        lambda: torch_zip(b"]", storages={}).replace(b"archive/version", b"archive/constan"),
        "no tensors",
    ),
    "old, storage beyond the file": (
        ".bin",
        lambda: torch_legacy(tensor(), keys=b"](" + text("0") + b"e", rest=struct.pack("<q", 2**60)),
        "cut short",
    ),
    "old, without storages": (".bin", lambda: torch_legacy(tensor()), "missing"),
    "old, keys that are no text": (
        ".bin",
        lambda: torch_legacy(tensor(), keys=b"](" + number(1) + b"e"),
        "list of storages",
    ),
    "old, eval": (".bin", lambda: torch_legacy(call("builtins.eval", text("1"))), "builtins.eval"),
    "a plain pickle": (".bin", lambda: pickle.dumps({"a": 1}), "torch.save did not write"),
    "old tar": (".pt", lambda: b"storages\0" + bytes(1000), "not a torch file"),
    "header beyond the file": (".safetensors", lambda: safetensors(b"{}", length=2**20), "ends at byte"),
    "header of 8 EiB": (".safetensors", lambda: safetensors(b"{}", length=2**63 - 1), "ends at byte"),
    "overflowing shape": (
        ".safetensors",
        lambda: safetensors(json.dumps({"a": entry(shape=[2**32, 2**32])}).encode(), bytes(8)),
        "needs",
    ),
    "overflowing offsets": (
        ".safetensors",
        lambda: safetensors(json.dumps({"a": entry(data_offsets=[0, 2**64])}).encode(), bytes(8)),
        "range",
    ),
    "offsets beyond the file": (
        ".safetensors",
        lambda: safetensors(json.dumps({"a": entry(shape=[200], data_offsets=[0, 800])}).encode(), bytes(8)),
        "ends at byte",
    ),
    "a name twice": (
        ".safetensors",
        lambda: safetensors(b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), bytes(8)),
        "twice",
    ),
    "millions of lists": (
        ".safetensors",
        lambda: safetensors(b'{"a":[' + b"[]," * 10_000_000 + b"[]]}"),
        "'['",
    ),
    "millions of numbers": (
        ".safetensors",
        lambda: safetensors(b'{"a":[' + b"1234567," * 5_000_000 + b"1]}"),
        "','",
    ),
    "deep JSON": (
        ".safetensors",
        lambda: safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "understood",
    ),
    "120,000 tensors in a header": (
        ".safetensors",
        lambda: safetensors(
            json.dumps({f"t{k}": entry(shape=[0], data_offsets=[0, 0]) for k in range(120_000)}).encode()
        ),
        "max_entries",
    ),
    "objects": (".npy", lambda: saved(np.array([1, None], dtype=object)), "Python objects"),
    "header of half a terabyte": (
        ".npy",
        lambda: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (137438953472,)}"),
        "should have",
    ),
    "overflow": (
        ".npy",
        lambda: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"),
        "counts",
    ),
    "code in the header": (".npy", lambda: npy("__import__('os').system('true')"), "understood"),
    "deep header": (".npy", lambda: npy("(" * 9000), "understood"),
    "unary header": (".npy", lambda: npy("-" * 9000 + "1"), "understood"),
    "structured": (".npy", lambda: saved(np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])), "fields"),
    "text": (".npy", lambda: saved(np.array(["abc"])), "text"),
    "dates": (".npy", lambda: saved(np.array(["2020-01-01"], dtype="M8[D]")), "dates"),
    "deflated zeros": (
        ".npz",
        lambda: zipped({"a.npy": saved(np.zeros(50_000_000, np.float32))}),
        "max_ratio",
    ),
}


def saved(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def zipped(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for key, data in content.items():
            file.writestr(key, data)
    return out.getvalue()


HEAVY = {"120,000 tensors", "120,000 storages", "millions of memos", "millions of dicts", "marks without end"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in HEAVY else []) for case in CASES]
)
def test_is_refused_in_little_time_and_memory(case, probe, tmp_path):
    suffix, make, says = CASES[case]
    path = tmp_path / f"hostile{suffix}"
    path.write_bytes(make())
    answer = probe(path)
    told = " ".join(
        [answer.get("error", ""), *answer.get("refused", {}).values(), *answer.get("problems", [])]
    )
    assert says in told, told[:2000]
    assert answer.get("count", 0) <= 1


@pytest.mark.parametrize("is_zip", [True, False])
def test_no_code_is_run_and_the_rest_is_read(is_zip, probe, tmp_path):
    marker = tmp_path / "marker"
    path = tmp_path / "x.pth"
    named = {"before": torch.ones(3), "evil": Touch(marker), "after": [torch.zeros(2), Touch(marker), 1.5]}
    torch.save(named, path, _use_new_zipfile_serialization=is_zip)
    answer = probe(path)
    assert not marker.exists()
    assert answer["names"] == ["before", "after[0]", "after[2]"]
    assert set(answer["refused"]) == {"x.pth/evil", "x.pth/after[1]"}
    assert all("system" in reason for reason in answer["refused"].values())
    # The payload is one that works.
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_small_expanded_tensor_is_read(probe, tmp_path):
    torch.save({"mask": torch.ones(1, 1, 64).expand(8, 64, 64)}, tmp_path / "x.pth")
    answer = probe(tmp_path / "x.pth")
    assert answer["names"] == ["mask"]
    assert answer["problems"] == []


def test_an_array_of_zeros_is_no_bomb(probe, tmp_path):
    np.savez_compressed(tmp_path / "x.npz", mask=np.zeros((1500, 1500)), x=np.arange(9))
    answer = probe(tmp_path / "x.npz")
    assert answer["names"] == ["mask", "x"]
    assert (answer["refused"], answer["problems"]) == ({}, [])


def test_an_index_of_millions_of_parts_is_refused(probe, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(safetensors(json.dumps({"a": entry()}).encode(), bytes(8)))
    parts = b'{"weight_map": {"a": "x.safetensors"}, "more": [' + b"1," * 30_000_000 + b"1]}"
    (tmp_path / "x.safetensors.index.json").write_bytes(parts)
    answer = probe(tmp_path)
    assert answer["names"] == ["a"]
    assert "30,000,001 parts" in answer["refused"]["x.safetensors.index.json"]


def test_devices_are_not_opened(probe, tmp_path):
    (tmp_path / "zero.pth").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.npy")
    torch.save(torch.ones(2), tmp_path / "good.pth")
    answer = probe(tmp_path)
    assert answer["names"] == ["good"]
    assert set(answer["refused"]) == {"zero.pth", "pipe.npy"}
