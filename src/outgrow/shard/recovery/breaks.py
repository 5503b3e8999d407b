"""What torch says where another rank is gone: no op of the program is to blame."""

__all__ = ["is_broken"]

_WORDS = (
    "gloo/transport",
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "NCCL",
    "Socket Timeout",
    "failed to connect",
    "DistNetworkError",
    "DistStoreError",
)


def is_broken(text: str) -> bool:
    """Whether an error is about the lines between ranks."""
    return any(word in text for word in _WORDS)
