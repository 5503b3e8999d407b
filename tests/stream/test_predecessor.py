"""Programs written for TensorStream run after one changed import."""

import pytest
import torch
import transformers

import outgrow.stream as tensorstream
from outgrow.errors import InputError
from tests.stream.streaming import reading_threads
from tests.stream.tiny_models import GPT2, make_model

LARGER = {**GPT2, "n_embd": 96, "n_layer": 3}


@pytest.fixture
def saved(tmp_path):
    make_model("GPT2LMHeadModel", LARGER, torch.float32).save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


def words(model):
    ids = torch.tensor([[5, 9, 23, 4]])
    return model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)


def test_quick_start(saved, tmp_path):
    model = transformers.GPT2LMHeadModel.from_pretrained(saved).eval()
    expected = words(model)
    threads = reading_threads()
    config = tensorstream.Config(storage_path=str(tmp_path / "storage"), vram_budget_gb=0.0005)
    model = tensorstream.offload(model, config)
    assert torch.equal(words(model), expected)
    figures = tensorstream.get_model_statistics(model)
    assert 0 < figures["vram_usage_gb"] <= figures["vram_budget_gb"] == pytest.approx(0.0005, rel=1e-3)
    assert figures["offloaded_layers"] > 0
    assert 0 <= figures["cache_hit_rate"] <= 1
    model.cleanup_tensorstream()
    assert reading_threads() == threads


@pytest.mark.parametrize("as_text", [True, False])
def test_advanced_configuration(as_text, saved, tmp_path):
    pytest.importorskip("blosc2")
    choices = {
        "backend": tensorstream.BackendType.MMAP,
        "prefetch_strategy": tensorstream.PrefetchStrategy.ADAPTIVE,
        "memory_pressure_mode": tensorstream.MemoryPressureMode.BALANCED,
    }
    if as_text:
        choices = {name: choice.value for name, choice in choices.items()}
    config = tensorstream.Config(
        storage_path=tmp_path / "storage",
        vram_budget_gb=0.0012,
        compression_enabled=True,
        compression_level=3,
        num_io_threads=1,
        debug_mode=True,
        **choices,
    )
    model = transformers.GPT2LMHeadModel.from_pretrained(saved).eval()
    expected = words(model)
    assert torch.equal(words(tensorstream.offload(model, config)), expected)
    # Texts become members, which is what programs compare with.
    assert config.backend is tensorstream.BackendType.MMAP
    assert config.prefetch_strategy is tensorstream.PrefetchStrategy.ADAPTIVE
    assert config.memory_pressure_mode is tensorstream.MemoryPressureMode.BALANCED


@pytest.mark.parametrize("strategy", list(tensorstream.PrefetchStrategy), ids=lambda member: member.value)
@pytest.mark.parametrize("mode", list(tensorstream.MemoryPressureMode), ids=lambda member: member.value)
def test_every_choice_runs(strategy, mode, saved, tmp_path):
    model = transformers.GPT2LMHeadModel.from_pretrained(saved).eval()
    with torch.no_grad():
        expected = model(torch.tensor([[5, 9, 23]])).logits
        config = tensorstream.create_default_config(str(tmp_path / "storage"))
        config.vram_budget_gb, config.prefetch_strategy, config.memory_pressure_mode = 0.0006, strategy, mode
        tensorstream.offload(model, config)
        for _ in range(3):
            assert torch.equal(model(torch.tensor([[5, 9, 23]])).logits, expected)


def test_memory_is_estimated_before_and_after(saved, tmp_path):
    model = transformers.GPT2LMHeadModel.from_pretrained(saved)
    wanted = sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    assert tensorstream.estimate_model_memory(model) == wanted
    tensorstream.offload(model, tensorstream.Config(storage_path=tmp_path / "s", vram_budget_gb=0.0005))
    assert tensorstream.estimate_model_memory(model) == wanted


def test_members_have_the_documented_names():
    assert [member.name for member in tensorstream.BackendType] == ["AUTO", "GPUDIRECT", "CUDA", "MMAP"]
    assert [member.name for member in tensorstream.PrefetchStrategy] == ["NONE", "NEXT_LAYER", "ADAPTIVE"]
    assert {member.name for member in tensorstream.MemoryPressureMode} == {
        "CONSERVATIVE",
        "BALANCED",
        "AGGRESSIVE",
    }


def test_modules_run_in_a_loop_as_in_its_benchmark(tmp_path):
    model = torch.nn.Sequential(*(torch.nn.Linear(256, 256) for _ in range(8)))
    with torch.no_grad():
        expected = model(torch.ones(2, 256))
        tensorstream.offload(model, tensorstream.Config(storage_path=tmp_path, vram_budget_gb=0.001))
        for _ in range(5):
            assert torch.equal(model(torch.ones(2, 256)), expected)
    assert tensorstream.get_model_statistics(model)["passes"] == 5


def test_backends_for_gpus_without_one(tmp_path):
    for backend in ("cuda", "gpudirect"):
        model = torch.nn.Linear(256, 256)
        config = tensorstream.Config(storage_path=tmp_path, vram_budget_gb=1, backend=backend)
        with pytest.raises(Exception, match=r"(?i)cuda|gpu") as error:
            tensorstream.offload(model, config)
        assert error.value.hint
        assert type(model.weight) is torch.nn.Parameter
    with pytest.raises(InputError):
        tensorstream.Config(backend="rocm")
