"""Generating, in every way that transformers knows, gives the words that the resident model gives."""

import threading

import pytest
import torch

import outgrow.stream as ts
from outgrow.stream.attachment import stream_of
from tests.stream.streaming import assert_same, llama, streamed, token_ids

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}
WAYS = {
    "greedy": {"do_sample": False},
    "beams": {"do_sample": False, "num_beams": 3},
    "sampling": {"do_sample": True, "top_k": 20},
    "sampled beams": {"do_sample": True, "num_beams": 2},
    "prompt lookup": {"do_sample": False, "prompt_lookup_num_tokens": 3},
    "no cache": {"do_sample": False, "use_cache": False},
    "static cache": {"do_sample": False, "cache_implementation": "static", "disable_compile": True},
    "scores": {
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
        "output_hidden_states": True,
    },
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    model = streamed(llama(**LARGE), tmp_path_factory.mktemp("store"))
    yield llama(**LARGE), model
    stream_of(model).close()


def generate(model, ids, **options):
    torch.manual_seed(3)
    return model.generate(ids, max_new_tokens=8, **options)


@pytest.mark.parametrize("way", WAYS)
def test_generated_tokens_are_the_same(way, pair):
    resident, model = pair
    ids = token_ids().repeat(1, 3) if way == "prompt lookup" else token_ids()
    for _ in range(2):
        actual, expected = generate(model, ids, **WAYS[way]), generate(resident, ids, **WAYS[way])
        if way == "scores":
            assert_same(actual.hidden_states, expected.hidden_states)
            actual, expected = (actual.sequences, *actual.logits), (expected.sequences, *expected.logits)
        assert_same(actual, expected)


@pytest.mark.parametrize("streams", ["the model", "the assistant", "both"])
def test_assisted_generation(streams, pair, tmp_path):
    resident, model = pair
    small = llama(num_hidden_layers=1, hidden_size=96, intermediate_size=200)
    expected = generate(resident, token_ids(), do_sample=False, assistant_model=small)
    helper = small if streams == "the model" else streamed(small, tmp_path)
    main = resident if streams == "the assistant" else model
    assert_same(generate(main, token_ids(), do_sample=False, assistant_model=helper), expected)


def test_batches_with_padding(pair):
    resident, model = pair
    ids, mask = token_ids(3, 6), torch.ones(3, 6, dtype=torch.int64)
    ids[0, :3], mask[0, :3] = 0, 0
    assert_same(
        generate(model, ids, attention_mask=mask, do_sample=False),
        generate(resident, ids, attention_mask=mask, do_sample=False),
    )


def test_every_grad_mode(pair):
    resident, model = pair
    with torch.inference_mode():
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    with torch.no_grad():
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    with torch.inference_mode():
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    assert model(token_ids(), labels=token_ids()).loss.requires_grad is False


def test_opened_and_replanned_within_inference_mode(tmp_path):
    resident, model = llama(**LARGE), llama(**LARGE)
    with torch.inference_mode():
        streamed(model, tmp_path)
        for _ in range(3):
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)
        budget = ts.statistics(model).budget_bytes
        ts.set_budget(model, int(budget * 1.2))
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    with torch.no_grad():
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
        ts.set_budget(model, budget)
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    ts.restore(model)
    assert_same(model(token_ids()).logits, resident(token_ids()).logits)


def test_threads_take_turns(pair):
    resident, model = pair
    expected = {
        seed: resident.generate(token_ids(seed=seed), max_new_tokens=6, do_sample=False) for seed in range(5)
    }
    results, failures = {}, []

    def work(seed):
        try:
            for _ in range(2):
                results[seed] = model.generate(token_ids(seed=seed), max_new_tokens=6, do_sample=False)
        except Exception as err:
            failures.append(err)
            raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    for seed, tokens in expected.items():
        assert torch.equal(results[seed], tokens)


def test_budget_changes_while_another_thread_generates(tmp_path):
    resident, model = llama(**LARGE), streamed(llama(**LARGE), tmp_path)
    least = ts.statistics(model).budget_bytes
    expected = generate(resident, token_ids(), do_sample=False)
    results = []

    def work():
        results.extend(model.generate(token_ids(), max_new_tokens=8, do_sample=False) for _ in range(4))

    thread = threading.Thread(target=work)
    thread.start()
    for step in range(12):
        ts.set_budget(model, least + (step % 5) * least // 10)
    thread.join(60)
    assert len(results) == 4
    for result in results:
        assert torch.equal(result, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_models_give_the_same_words(tmp_path):
    resident, model = llama(**LARGE), streamed(llama(**LARGE), tmp_path)
    compiled = torch.compile(model)
    with torch.no_grad():
        for _ in range(3):
            assert torch.allclose(compiled(token_ids()).logits, resident(token_ids()).logits, atol=1e-5)
