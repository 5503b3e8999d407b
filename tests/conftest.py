"""What every test stands on: offline, one machine, GPU tests skipped where there is none, golden files."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Set before torch is imported, and inherited by the processes that tests start: several workers with a
    # thread pool each would fight for the same cores.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
# No test may reach the network by accident.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: how long an example takes says more about who else uses the machine than about the code. The
# blob repeats a failure elsewhere.
settings.register_profile(
    "outgrow", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("outgrow")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make golden` needs."""
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write the golden files anew; review the diff"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here, and all but the golden tests where those are rewritten."""
    if config.getoption("--rewrite-golden"):
        chosen = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
    on_gpu = [item for item in items if item.get_closest_marker("gpu") is not None]
    if on_gpu and not _has_gpu():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _has_gpu() -> bool:
    import torch  # only where a GPU test was collected

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache; a test that needs a cache of its own sets OUTGROW_CACHE itself."""
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path_factory.getbasetemp() / "outgrow-cache"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str | bytes], None]:
    """Compare text or bytes with `tests/golden/<name>`; `make golden` writes it."""

    def check(name: str, actual: str | bytes) -> None:
        path = GOLDEN / name
        data = actual.encode() if isinstance(actual, str) else actual
        if request.config.getoption("--rewrite-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        assert path.exists(), f"there is no golden file {name}; `make golden` writes it"
        expected = path.read_bytes()
        if isinstance(actual, str):
            assert actual == expected.decode()
        else:
            assert data == expected

    return check
