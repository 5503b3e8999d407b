"""Files made to harm, and what has to be said of each."""

import json
import pickle
import struct
from collections.abc import Callable

import numpy as np

from tests.compare.readers.hostile_pieces import (
    array,
    bomb,
    deep,
    entry,
    flagged,
    kept,
    laughing,
    many_storages,
    npy,
    rebuilt,
    safetensors,
    saved,
    zipped,
)
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


HEAVY = {"120,000 tensors", "120,000 storages", "millions of memos", "millions of dicts", "marks without end"}
