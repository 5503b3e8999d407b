import pytest
import torch

from outgrow.cli.generation import Generated, TokenText, encode_prompt, open_tokenizer
from outgrow.cli.process_memory import process_memory
from outgrow.cli.verification import compare
from outgrow.errors import InputError


class Bytes:
    """A tokenizer with a token for each byte."""

    chat_template = None

    def decode(self, tokens, *, skip_special_tokens):
        return bytes(tokens).decode(errors="replace")

    def __call__(self, prompt, return_tensors):
        return {"input_ids": torch.tensor([list(prompt.encode())], dtype=torch.long)}


def told(text):
    said, steps = [], []
    growing = TokenText(Bytes(), said.append, lambda: steps.append(1))
    growing.put(torch.tensor([[1, 2]]))
    for byte in text.encode():
        growing.put(torch.tensor([byte]))
    growing.end()
    return said, steps, growing


def test_text_is_told_when_its_characters_are_whole():
    said, steps, growing = told("aé\nb")
    assert said == ["a", "é", "\n", "b"]
    assert len(steps) == 5
    assert growing.text == "aé\nb"
    assert growing.tokens == list("aé\nb".encode())


def test_half_a_character_is_told_at_the_end():
    said = []
    growing = TokenText(Bytes(), said.append, lambda: None)
    growing.put(torch.tensor([[1]]))
    growing.put(torch.tensor([0xC3]))
    assert said == []
    growing.end()
    assert said == ["\N{REPLACEMENT CHARACTER}"]


def test_an_empty_prompt_is_refused():
    with pytest.raises(InputError, match="no tokens"):
        encode_prompt(Bytes(), "")


def test_a_prompt_that_is_no_text_is_refused_as_such():
    given = b"a\xff".decode(errors="surrogateescape")  # as Python reads such an argument
    with pytest.raises(InputError, match="not UTF-8") as refused:
        encode_prompt(Bytes(), given)
    assert "chat" not in str(refused.value)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"config.json": '{"model_type": "llama"}'}, "brings no tokenizer"),
        ({"config.json": "{", "tokenizer.json": "{}"}, "the config in .* cannot be used"),
        ({"config.json": '{"model_type": "llamma"}'}, "the config in .*`llamma`"),
        ({"config.json": '{"model_type": "llama"}', "tokenizer.json": "no"}, "no tokenizer that can be used"),
    ],
    ids=["none", "no json", "unknown model", "broken"],
)
def test_a_tokenizer_that_cannot_be_opened_names_the_file_at_fault(tmp_path, files, named):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=named):
        open_tokenizer(tmp_path)


def generated(tokens, logits):
    return Generated(
        tokens=tuple(tokens),
        logits=tuple(torch.tensor(row) for row in logits),
        prompt_tokens=1,
        prompt_seconds=2.0,
        decode_seconds=3.0,
    )


@pytest.mark.parametrize(
    ("tokens", "logits", "is_identical", "equal_tokens", "equal_logits"),
    [
        ([1, 2], [[1.0, 2.0], [3.0, 4.0]], True, 2, 4),
        ([1, 3], [[1.0, 2.0], [3.0, 4.0]], False, 1, 4),
        ([1, 2], [[1.0, 2.0], [3.0, 4.5]], False, 2, 3),
        ([1], [[1.0, 2.0]], False, 1, 2),
        ([1, 2], [], False, 2, 0),
        ([1, 2], [[0.0, 2.0], [3.0, 4.0]], False, 2, 3),
    ],
    ids=["same", "token", "logit", "shorter", "nothing kept", "first"],
)
def test_only_equal_tokens_and_bits_are_identical(tokens, logits, is_identical, equal_tokens, equal_logits):
    expected = generated([1, 2], [[1.0, 2.0], [3.0, 4.0]])
    found = compare(generated(tokens, logits), expected, reference="resident")
    assert (found.is_identical, found.equal_tokens, found.equal_logits) == (
        is_identical, equal_tokens, equal_logits,
    )  # fmt: skip


def test_zeros_of_both_signs_differ():
    found = compare(generated([1], [[0.0]]), generated([1], [[-0.0]]), reference="resident")
    assert not found.is_identical


def test_seconds_per_token_leave_the_prompt_out():
    assert generated([1, 2, 3], []).seconds_per_token == 1.5
    assert generated([1], []).seconds_per_token == 2.0


def test_process_memory_is_read_from_the_kernels_figures(tmp_path):
    (tmp_path / "status").write_text("VmRSS:\t30 kB\nRssAnon:\t10 kB\nRssFile:\t20 kB\nRssShmem:\t0 kB\n")
    found = process_memory(tmp_path / "status")
    assert (found.anonymous_bytes, found.file_bytes, found.nbytes) == (10240, 20480, 30720)
    assert process_memory(tmp_path / "missing") is None
