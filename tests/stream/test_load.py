"""Loading opens a checkpoint without materialising, copying or rewriting it, and gives the ordinary model."""

import os

import pytest
import torch
import transformers

import outgrow.stream as ts
from outgrow.events import Progress
from outgrow.stream.attachment import stream_of
from tests.stream.streaming import assert_plain, assert_same, token_ids, weights_bytes
from tests.stream.tiny_models import FAMILIES, SMALL, make_model, save

LARGER = {
    **SMALL,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 4,
    "tie_word_embeddings": True,
}


@pytest.fixture
def checkpoint(tmp_path):
    return save(make_model("LlamaForCausalLM", LARGER), tmp_path / "model", max_shard_size="100kB")


def reference(path, **options):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype="auto", **options).eval()


def test_the_ordinary_class_and_the_same_words(checkpoint):
    resident = reference(checkpoint)
    model = ts.load(checkpoint, budget="150kB")
    assert type(model) is type(resident)
    assert not model.training
    assert not stream_of(model).plan.streams_nothing
    options = {
        "max_new_tokens": 12,
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
    }
    actual, expected = model.generate(token_ids(), **options), resident.generate(token_ids(), **options)
    assert_same((actual.sequences, *actual.logits), (expected.sequences, *expected.logits))
    assert stream_of(model).account.peak_bytes <= 150_000


def test_files_are_left_alone(checkpoint, tmp_path):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in checkpoint.iterdir()}
    elsewhere = tmp_path / "cwd"
    elsewhere.mkdir()
    model = ts.load(checkpoint, budget="150kB")
    model.generate(token_ids(), max_new_tokens=3)
    del model
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in checkpoint.iterdir()} == before
    assert not list(elsewhere.iterdir())


def test_only_what_stays_is_read_when_opening(checkpoint):
    model = ts.load(checkpoint, config=ts.Config(budget=150_000, prefetch_strategy="none"))
    figures = ts.statistics(model)
    assert figures.bytes_read <= figures.resident_bytes * 1.1 + 8192 * figures.weights
    assert figures.bytes_read < figures.weights_bytes


@pytest.mark.parametrize("dtype", [None, "float32", torch.float16, "bfloat16"])
def test_dtype_is_the_checkpoints_or_the_one_asked_for(checkpoint, dtype):
    model = ts.load(checkpoint, budget="300kB", dtype=dtype)
    wanted = torch.bfloat16 if dtype is None else getattr(torch, str(dtype).removeprefix("torch."))
    resident = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=wanted).eval()
    assert model.dtype == wanted
    with torch.no_grad():
        for _ in range(2):
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)


def test_where_everything_fits_nothing_that_computes_is_wrapped(checkpoint):
    model = ts.load(checkpoint, budget="10MB")
    assert stream_of(model).plan.streams_nothing
    wrapped = [name for name, module in model.named_modules() if "forward" in module.__dict__]
    # The model, whose passes are counted, and its stack of layers; nothing that computes.
    assert wrapped == ["", "model"]
    with torch.no_grad():
        assert_same(model(token_ids()).logits, reference(checkpoint)(token_ids()).logits)


def test_a_budget_by_the_config_or_none_at_all(checkpoint):
    assert (
        ts.statistics(ts.load(checkpoint, config=ts.Config(vram_budget_gb=0.001))).budget_bytes
        == 2**30 // 1000
    )
    assert ts.statistics(ts.load(checkpoint)).budget_bytes > 1_000_000


def test_restored_is_as_if_loaded_by_transformers(checkpoint):
    resident, model = reference(checkpoint), ts.restore(ts.load(checkpoint, budget="150kB"))
    assert_plain(model)
    assert_same(model.state_dict(), resident.state_dict())
    for one, other in zip(model.parameters(), resident.parameters(), strict=True):
        assert one.requires_grad == other.requires_grad


def test_listeners_hear_about_reading_and_passes(checkpoint):
    heard = []
    model = ts.load(checkpoint, budget="150kB", listener=heard.append)
    with torch.no_grad():
        model(token_ids())
        model(token_ids())
    reading = [event for event in heard if isinstance(event, Progress)]
    assert reading[-1].done == reading[-1].total > 0
    passes = [event for event in heard if isinstance(event, ts.PassEnded)]
    assert [event.number for event in passes] == [1, 2]
    assert all(event.bytes_read >= 0 and event.seconds > 0 for event in passes)
    assert all(event.resident_bytes <= 150_000 for event in passes)


def test_two_streams_of_one_file_at_once(checkpoint):
    resident = reference(checkpoint)
    models = [ts.load(checkpoint, budget="150kB"), ts.load(checkpoint, budget="200kB")]
    with torch.no_grad():
        for _ in range(2):
            for model in models:
                assert_same(model(token_ids()).logits, resident(token_ids()).logits)
        del models[0], model
        assert_same(models[0](token_ids()).logits, resident(token_ids()).logits)


def test_another_working_directory_does_not_matter(checkpoint, monkeypatch, tmp_path):
    monkeypatch.chdir(checkpoint.parent)
    model = ts.load(checkpoint.name, budget="150kB")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with torch.no_grad():
        assert_same(model(token_ids()).logits, reference(checkpoint)(token_ids()).logits)


@pytest.mark.parametrize(
    "family", ["t5: encoder and decoder, three names for one weight", "mamba: no attention"]
)
def test_families_with_a_course_of_their_own_generate(family, tmp_path):
    kind, options = FAMILIES[family]
    larger = {"d_model": 128, "d_ff": 512, "hidden_size": 128, "intermediate_size": 256}
    options = {name: larger.get(name, value) for name, value in options.items()}
    if kind.startswith("T5"):
        options["decoder_start_token_id"] = 0
    saved = save(make_model(kind, options), tmp_path / "model")
    resident = getattr(transformers, kind).from_pretrained(saved, dtype="auto").eval()
    model = ts.load(saved, budget=int(weights_bytes(resident) * 0.9))
    assert not stream_of(model).plan.streams_nothing
    arguments = {"max_new_tokens": 6, "do_sample": False}
    assert_same(model.generate(token_ids(), **arguments), resident.generate(token_ids(), **arguments))


def test_environment_is_left_alone(checkpoint):
    before = dict(os.environ)
    ts.load(checkpoint, budget="150kB")
    assert dict(os.environ) == before
