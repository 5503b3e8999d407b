import pytest


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory):
    """The directory of a tiny chat model."""
    pytest.importorskip("transformers")
    from tests.cli.tiny_chat import chat_model

    return chat_model(tmp_path_factory.mktemp("chat") / "model")
