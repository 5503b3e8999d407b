"""What a program sends, said on stderr where the environment asks for it."""

__all__ = ["NarratedLink", "narrated"]

import atexit
import sys
import time

from outgrow.shard.client.link import Link
from outgrow.shard.environment import Environment
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Place, Put, Reply


class NarratedLink:
    """A link that says what goes through it."""

    def __init__(self, link: Link, environment: Environment, title: str) -> None:
        """`title` says what the link leads to. The link becomes this one's."""
        self._link = link
        self._environment = environment
        self._started: float | None = time.perf_counter()
        self._is_closed = False
        atexit.register(self.close)
        if environment.is_verbose:
            _say(f"starting {title}")

    def send(self, message: Message) -> None:
        """See `Link.send`."""
        if self._environment.debugs_client:
            _say(f"client: {_line(message)}")
        self._link.send(message)

    def request(self, message: Fetch | Ask) -> Reply:
        """See `Link.request`."""
        if self._environment.debugs_client:
            _say(f"client: {_line(message)}")
        reply = self._link.request(message)
        if self._started is not None:
            if self._environment.is_verbose:
                _say(f"first answer after {time.perf_counter() - self._started:.2f} s")
            self._started = None
        return reply

    def close(self) -> None:
        """See `Link.close`. Says first how the program's steps ran, where that was asked for."""
        if self._is_closed:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        if self._environment.debugs_compile:
            from outgrow.shard.planner.explanation import explanation_text

            answer = self._link.request(Ask(request=0, topic="explain")).body
            _say("how the steps ran:\n" + explanation_text(answer))
        if self._environment.is_verbose:
            _say("letting the workers go")
        self._link.close()


def narrated(link: Link, environment: Environment, title: str) -> Link:
    """The link itself, or one that says what goes through it, where the environment asks for that."""
    asks = environment.is_verbose or environment.debugs_client or environment.debugs_compile
    return NarratedLink(link, environment, title) if asks else link


def _line(message: Message) -> str:
    match message:
        case Put():
            shape = "x".join(map(str, message.meta.shape)) or "scalar"
            return f"put {message.value}: {shape}, {len(message.data):,} bytes"
        case Define():
            return f"define segment {message.segment}: {len(message.body.steps):,} instructions"
        case Call():
            ends = ", the step ends" if message.ends_step else ""
            kept = f"{len(message.outputs)} values kept, {len(message.freed)} freed"
            return f"call {message.number}: segment {message.segment}, {kept}{ends}"
        case Place():
            return f"place {message.value}: {message.placement}"
        case Fetch():
            return f"fetch {message.value}"
        case Ask():
            return f"ask {message.topic}"
    raise AssertionError(message)


def _say(text: str) -> None:
    sys.stderr.write(f"outgrow.shard: {text}\n")
