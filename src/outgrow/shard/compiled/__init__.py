"""Opt-in compilation: a function that does the same every time is sent as one message instead of op by op."""

__all__ = ["Compiled", "compile"]

from outgrow.shard.compiled.compiled import Compiled, compile
