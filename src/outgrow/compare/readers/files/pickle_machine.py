"""A pickle read as a description: what it would call, with which arguments, and nothing called.

`torch.load(weights_only=True)` calls a fixed set of functions, and some of those make as much memory as the
file likes (`bytearray(2**40)`), hash keys that take for ever, or give up on the whole file at the first class
they do not know. Here no name is ever looked up. What comes out are plain values and these descriptions, to
be understood by `torch_objects`; what that does not know it can refuse by itself, and go on.

Format: CPython's `pickletools`, protocols 2 to 5 with what `torch.save` uses of them.
"""

__all__ = ["Global", "Made", "Pairs", "Persistent", "describe_pickle"]

import struct
import sys
from collections.abc import Callable
from typing import Any

from outgrow.compare.readers.advice import COPY_AGAIN, raise_limit
from outgrow.errors import InputError

# What each of these costs Python, in bytes; the sum is held below a limit while reading.
_LIST, _TEXT, _SLOT, _MEMO, _OBJECT = 72, 56, 8, 80, 64
_MAX_STEPS = 10_000_000
_CHECKED_EVERY = 250
_MAX_INTEGER_BYTES = 64
_TOO_LARGE = 1 << 8 * _MAX_INTEGER_BYTES
_MAX_NAME_BYTES = 1024


class Global:
    """A name that a pickle would import."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        """`module.name`."""


class Made:
    """What a call would give."""

    __slots__ = ("arguments", "by", "items", "state")

    def __init__(self, by: Any, arguments: Any) -> None:
        self.by = by
        """What is called: a `Global`, or nothing that can be."""
        self.arguments = arguments
        self.state: Any = None
        """What it would be told afterwards (`__setstate__`)."""
        self.items: Pairs | list[Any] | None = None
        """What would be put into it."""


class Persistent:
    """Something outside the pickle: a storage."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


class Pairs(list[tuple[Any, Any]]):
    """A dict as it was filled. No key is hashed: an enemy's could take for ever."""

    __slots__ = ()


def describe_pickle(data: memoryview, start: int = 0, *, max_bytes: int) -> tuple[Any, int, list[Persistent]]:
    """What the pickle that begins at `data[start]` would make, where it ends, and every mention of a storage.

    At most about two and a half times `max_bytes` bytes of memory are taken for it.

    Raises:
        InputError: it is damaged, uses what torch never writes, or would take more memory or steps.
    """
    machine = _Machine(data, start, max_bytes)
    try:
        return machine.run(), machine.at, machine.persistent
    except InputError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error) as err:
        raise InputError(f"its pickle is damaged at byte {machine.at:,}", hint=COPY_AGAIN) from err


class _Machine:
    def __init__(self, data: memoryview, start: int, max_bytes: int) -> None:
        self.data = data
        self.at = start
        self.start = start
        self.max_bytes = max_bytes
        self.left = 5 * max_bytes // 2
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.persistent: list[Persistent] = []

    def run(self) -> Any:
        data, steps = self.data, _STEPS
        for _ in range(_MAX_STEPS // _CHECKED_EVERY):
            for _ in range(_CHECKED_EVERY):
                code = data[self.at]
                self.at += 1
                if code == 0x2E:  # STOP
                    return self.stack.pop()
                step = steps.get(code)
                if step is None:
                    raise InputError(
                        f"its pickle has the instruction {code:#04x} at byte {self.at - 1:,}, "
                        "which torch.save does not write",
                        hint=COPY_AGAIN,
                    )
                step(self)
            self.check(0)
        raise InputError(
            f"its pickle has more than {_MAX_STEPS:,} instructions",
            hint="save fewer values into one file, or the tensors alone",
        )

    def check(self, nbytes: int) -> None:
        """See that so much more may be taken."""
        if self.left < nbytes or self.at - self.start > self.max_bytes:
            raise InputError(
                f"its pickle would take more memory than the limit max_header_bytes allows "
                f"({self.max_bytes:,})",
                hint=raise_limit("max_header_bytes"),
            )

    def take(self, count: int) -> memoryview:
        end = self.at + count
        if end > len(self.data):
            raise InputError(
                f"its pickle ends at byte {len(self.data):,} but {end:,} were announced: cut short",
                hint=COPY_AGAIN,
            )
        part = self.data[self.at : end]
        self.at = end
        return part

    def number(self, count: int) -> int:
        begin = self.at
        self.at = begin + count
        part = self.data[begin : self.at]
        if len(part) != count:
            raise IndexError
        return int.from_bytes(part, "little")

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def push(self, value: Any, cost: int = 0) -> None:
        self.left -= cost + _SLOT
        self.stack.append(value)

    def pop_to_mark(self) -> list[Any]:
        self.left += _LIST
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def text(self, count: int) -> None:
        # Before it is made, by the widest that it can be.
        self.check(4 * count)
        self.push(str(self.take(count), "utf-8", "surrogatepass"))
        self.left -= sys.getsizeof(self.stack[-1])

    def raw(self, count: int) -> None:
        self.check(count)
        self.left -= _TEXT + count
        self.push(bytes(self.take(count)))

    def integer(self, count: int) -> None:
        part = self.take(count)
        if count > _MAX_INTEGER_BYTES:
            # Too large for any tensor; only that has to be known, and Python would not even print it.
            self.push(_TOO_LARGE)
            return
        self.push(int.from_bytes(part, "little", signed=True), 48)

    def line(self) -> str:
        part = bytes(self.data[self.at : self.at + _MAX_NAME_BYTES])
        end = part.index(b"\n")
        self.at += end + 1
        return part[:end].decode()

    def remember(self, index: int) -> None:
        self.left -= _MEMO
        self.memo[index] = self.stack[-1]

    def remember_briefly(self) -> None:
        self.left -= _MEMO
        self.memo[self.data[self.at]] = self.stack[-1]
        self.at += 1

    def mark(self) -> None:
        self.left -= _LIST
        self.outer.append(self.stack)
        self.stack = []

    def name(self) -> None:
        module = self.line()
        self.push(_global(module, self.line()), 2 * _OBJECT)

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if (
            not isinstance(name, str)
            or not isinstance(module, str)
            or len(name) + len(module) > _MAX_NAME_BYTES
        ):
            raise InputError("its pickle imports something without a proper name", hint=COPY_AGAIN)
        self.push(_global(module, name), 2 * _OBJECT)

    def call(self) -> None:
        arguments, by = self.stack.pop(), self.stack.pop()
        self.push(Made(by, arguments), _OBJECT)

    def call_with_keywords(self) -> None:
        keywords = self.stack.pop()
        self.call()
        self.stack[-1].state = keywords

    def build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Made):
            self.stack[-1].state = state

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Made):
            if target.items is None:
                target.items = []
            target = target.items
        if type(target) is not list:
            raise InputError("its pickle appends to what is no list", hint=COPY_AGAIN)
        self.left -= _SLOT * len(items)
        target.extend(items)

    def set_items(self, flat: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Made):
            if target.items is None:
                target.items = Pairs()
            target = target.items
        if not isinstance(target, Pairs) or len(flat) % 2:
            raise InputError("its pickle sets items of what is no dict", hint=COPY_AGAIN)
        self.left -= _OBJECT * (len(flat) // 2)
        target.extend(zip(flat[::2], flat[1::2], strict=True))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def append_one(self) -> None:
        item = self.stack.pop()
        self.append([item])

    def persist(self) -> None:
        self.push(Persistent(self.stack.pop()), _OBJECT)
        self.persistent.append(self.stack[-1])

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack[len(self.stack) - count :])
        if len(items) != count:
            raise IndexError
        del self.stack[len(self.stack) - count :]
        self.push(items, _LIST + _SLOT * count)

    def pop(self) -> None:
        # Popping a mark is how pickles forget what they began.
        if self.stack:
            self.stack.pop()
        else:
            self.stack = self.outer.pop()

    def collect(self, kind: Callable[[list[Any]], Any]) -> None:
        items = self.pop_to_mark()
        self.push(kind(items), _LIST + _SLOT * len(items))

    def collect_pairs(self) -> None:
        flat = self.pop_to_mark()
        self.push(Pairs(), _LIST)
        self.set_items(flat)


def _global(module: str, name: str) -> Global:
    # Up to protocol 2 pickles say it as Python 2 did.
    return Global(f"{'builtins' if module == '__builtin__' else module}.{name}")


_Step = Callable[[_Machine], object]
_STEPS: dict[int, _Step] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    0x28: _Machine.mark,  # MARK
    0x30: _Machine.pop,  # POP
    0x31: lambda m: m.pop_to_mark(),  # POP_MARK
    0x32: lambda m: m.push(m.stack[-1]),  # DUP
    0x4E: lambda m: m.push(None),  # NONE
    0x88: lambda m: m.push(True),  # NEWTRUE
    0x89: lambda m: m.push(False),  # NEWFALSE
    0x4A: lambda m: m.push(int.from_bytes(m.take(4), "little", signed=True), 32),  # BININT
    0x4B: lambda m: m.push(m.byte()),  # BININT1
    0x4D: lambda m: m.push(m.number(2), 32),  # BININT2
    0x8A: lambda m: m.integer(m.byte()),  # LONG1
    0x8B: lambda m: m.integer(m.number(4)),  # LONG4
    0x47: lambda m: m.push(struct.unpack(">d", m.take(8))[0], 24),  # BINFLOAT
    0x58: lambda m: m.text(m.number(4)),  # BINUNICODE
    0x8C: lambda m: m.text(m.byte()),  # SHORT_BINUNICODE
    0x8D: lambda m: m.text(m.number(8)),  # BINUNICODE8
    0x54: lambda m: m.raw(m.number(4)),  # BINSTRING
    0x55: lambda m: m.raw(m.byte()),  # SHORT_BINSTRING
    0x42: lambda m: m.raw(m.number(4)),  # BINBYTES
    0x43: lambda m: m.raw(m.byte()),  # SHORT_BINBYTES
    0x8E: lambda m: m.raw(m.number(8)),  # BINBYTES8
    0x96: lambda m: m.raw(m.number(8)),  # BYTEARRAY8
    0x5D: lambda m: m.push([], _LIST),  # EMPTY_LIST
    0x7D: lambda m: m.push(Pairs(), _LIST),  # EMPTY_DICT
    0x8F: lambda m: m.push([], _LIST),  # EMPTY_SET
    0x29: lambda m: m.push(()),  # EMPTY_TUPLE
    0x74: lambda m: m.collect(tuple),  # TUPLE
    0x6C: lambda m: m.collect(list),  # LIST
    0x91: lambda m: m.collect(list),  # FROZENSET
    0x64: _Machine.collect_pairs,  # DICT
    0x85: lambda m: m.tuple_of(1),  # TUPLE1
    0x86: lambda m: m.tuple_of(2),  # TUPLE2
    0x87: lambda m: m.tuple_of(3),  # TUPLE3
    0x61: _Machine.append_one,  # APPEND
    0x65: lambda m: m.append(m.pop_to_mark()),  # APPENDS
    0x90: lambda m: m.append(m.pop_to_mark()),  # ADDITEMS
    0x73: _Machine.set_item,  # SETITEM
    0x75: lambda m: m.set_items(m.pop_to_mark()),  # SETITEMS
    0x63: _Machine.name,  # GLOBAL
    0x93: _Machine.stack_name,  # STACK_GLOBAL
    0x52: _Machine.call,  # REDUCE
    0x81: _Machine.call,  # NEWOBJ
    0x92: _Machine.call_with_keywords,  # NEWOBJ_EX
    0x62: _Machine.build,  # BUILD
    0x51: _Machine.persist,  # BINPERSID
    0x71: _Machine.remember_briefly,  # BINPUT
    0x72: lambda m: m.remember(m.number(4)),  # LONG_BINPUT
    0x94: lambda m: m.remember(len(m.memo)),  # MEMOIZE
    0x68: lambda m: m.push(m.memo[m.byte()]),  # BINGET
    0x6A: lambda m: m.push(m.memo[m.number(4)]),  # LONG_BINGET
}
