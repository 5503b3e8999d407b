"""Random bf16 Llama checkpoints of known shapes, written by streaming, without building the model."""

__all__ = ["SHAPES", "Shape", "bench_directory", "make_checkpoint", "weight_files", "weights_bytes"]

import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

_BLOCK = 8 << 20  # elements generated at once: 16 MiB of bf16
_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a Llama and into how many checkpoint files it is cut."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    files: int

    def config(self) -> dict[str, object]:
        """The `config.json` of a Hugging Face checkpoint of this shape."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden // self.heads,
            "intermediate_size": self.intermediate,
            "vocab_size": self.vocab,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "dtype": "bfloat16",
        }

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every weight's qualified name and shape, in the order in which a pass uses them."""
        attention = self.hidden, self.hidden // self.heads * self.kv_heads
        yield "model.embed_tokens.weight", (self.vocab, self.hidden)
        for index in range(self.layers):
            layer = f"model.layers.{index}"
            yield f"{layer}.input_layernorm.weight", (self.hidden,)
            yield f"{layer}.self_attn.q_proj.weight", (self.hidden, self.hidden)
            yield f"{layer}.self_attn.k_proj.weight", (attention[1], self.hidden)
            yield f"{layer}.self_attn.v_proj.weight", (attention[1], self.hidden)
            yield f"{layer}.self_attn.o_proj.weight", (self.hidden, self.hidden)
            yield f"{layer}.post_attention_layernorm.weight", (self.hidden,)
            yield f"{layer}.mlp.gate_proj.weight", (self.intermediate, self.hidden)
            yield f"{layer}.mlp.up_proj.weight", (self.intermediate, self.hidden)
            yield f"{layer}.mlp.down_proj.weight", (self.hidden, self.intermediate)
        yield "model.norm.weight", (self.hidden,)
        yield "lm_head.weight", (self.vocab, self.hidden)

    @property
    def nbytes(self) -> int:
        """Bytes of all weights in bf16."""
        return sum(_count(shape) * 2 for _, shape in self.tensors())

    @property
    def embedding_bytes(self) -> int:
        """Bytes of the input embedding, of which a pass needs one row a token."""
        return self.vocab * self.hidden * 2


# TinyLlama 1.1B, Llama 2 7B / 13B / 70B in their published sizes, and one that the tests can afford.
SHAPES = {
    "toy": Shape(hidden=128, layers=3, heads=4, kv_heads=2, intermediate=352, vocab=512, files=2),
    "tinyllama": Shape(hidden=2048, layers=22, heads=32, kv_heads=4, intermediate=5632, vocab=32000, files=5),
    "llama7b": Shape(hidden=4096, layers=32, heads=32, kv_heads=32, intermediate=11008, vocab=32000, files=5),
    "llama13b": Shape(
        hidden=5120, layers=40, heads=40, kv_heads=40, intermediate=13824, vocab=32000, files=6
    ),
    "llama70b": Shape(
        hidden=8192, layers=80, heads=64, kv_heads=8, intermediate=28672, vocab=32000, files=15
    ),
}


def bench_directory() -> Path:
    """Where models and the peers' own copies are kept: `OUTGROW_BENCH_DIR`, or `~/.cache/outgrow/bench`."""
    return Path(os.environ.get("OUTGROW_BENCH_DIR") or Path.home() / ".cache/outgrow/bench").expanduser()


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The checkpoint's safetensors files in order."""
    return tuple(sorted(directory.glob("*.safetensors")))


def weights_bytes(directory: Path) -> int:
    """Bytes of all weights in the checkpoint, from its headers."""
    total = 0
    for path in weight_files(directory):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        total += sum(e["data_offsets"][1] - e["data_offsets"][0] for n, e in header.items() if n[0] != "_")
    return total


def make_checkpoint(name: str, *, directory: Path | None = None, seed: int = 0, sparse: bool = False) -> Path:
    """Write the random checkpoint `name` of `SHAPES` unless it is already there; return its directory.

    Weights are normal with deviation 0.02, norms are one. With `sparse` the files have true headers and sizes
    but holes for weights: enough to plan from headers, and no disk is used. A half-written checkpoint never
    has the final name.

    Raises:
        OSError: the disk has not enough room; nothing is left behind.
    """
    shape = SHAPES[name]
    parent = directory or bench_directory()
    final = parent / (f"{name}-headers" if sparse else name)
    if (final / "config.json").exists():
        return final
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free
    if not sparse and free < shape.nbytes * 1.02 + 10**8:
        raise OSError(f"{name} needs {shape.nbytes:,} bytes in {parent}, where {free:,} are free")
    partial = parent / f".{final.name}.partial-{os.getpid()}"
    partial.mkdir()
    try:
        _write(shape, partial, torch.Generator().manual_seed(seed), sparse=sparse)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _write(shape: Shape, directory: Path, generator: torch.Generator, *, sparse: bool) -> None:
    groups = _split(list(shape.tensors()), shape.files, shape.nbytes)
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        weight_map |= dict.fromkeys((tensor for tensor, _ in group), name)
        _write_file(directory / name, group, generator, sparse=sparse)
    index = {"metadata": {"total_size": shape.nbytes}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (directory / "config.json").write_text(json.dumps(shape.config(), indent=1))


def _split(
    tensors: list[tuple[str, tuple[int, ...]]], files: int, total: int
) -> list[list[tuple[str, tuple[int, ...]]]]:
    """Cut the list where each file reaches its share of the bytes, as the Hub's uploaders do."""
    groups: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    done = 0
    for name, size in tensors:
        if done >= total * len(groups) / files:
            groups.append([])
        groups[-1].append((name, size))
        done += _count(size) * 2
    return groups


def _write_file(
    path: Path, group: list[tuple[str, tuple[int, ...]]], generator: torch.Generator, *, sparse: bool
) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, size in group:
        end = at + _count(size) * 2
        header[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # as safetensors itself does: no page alignment
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if sparse:
            file.truncate(8 + len(text) + at)
        else:
            for _, size in group:
                for block in _blocks(size, generator):
                    file.write(block.view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(_MODE)


def _blocks(size: tuple[int, ...], generator: torch.Generator) -> Iterator[torch.Tensor]:
    if len(size) == 1:
        yield torch.ones(size, dtype=torch.bfloat16)
        return
    left = _count(size)
    while left:
        count = min(left, _BLOCK)
        yield torch.empty(count, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
        left -= count


def _count(size: tuple[int, ...]) -> int:
    product = 1
    for length in size:
        product *= length
    return product
