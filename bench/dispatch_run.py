"""One measurement of a dispatcher: real sockets and processes, ranks that do nothing but take and
acknowledge.

`python -m bench.dispatch_run SPEC` with a JSON object, see `run`; prints one JSON object.
"""

import contextlib
import json
import os
import resource
import socket
import sys
import time

import torch

from outgrow.shard.dispatch.dispatcher import Dispatcher
from outgrow.shard.engines.processes import die_with_parent
from outgrow.shard.engines.remote import reach
from outgrow.shard.instructions import INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Put, Reply
from outgrow.shard.wire.address import Address
from outgrow.shard.wire.codec import Decoder, encode_reply
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import FrameKind
from outgrow.shard.wire.link import WireLink

_META = TensorMeta((8, 8), (8, 1), torch.float32)
_KINDS = 40
KINDS = ("replayed", "new", "single")
"""A step of a training run sent again and again; every segment a new one; one instruction a call."""


class _Source:
    """Ranks that take messages and do nothing."""

    def start(self, rank):
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            theirs.close()
            return ours, pid
        die_with_parent(parent)
        ours.close()
        with contextlib.suppress(ConnectionEnded):
            _idle_rank(Connection(theirs, limit=1 << 32))
        os._exit(0)

    def configuration(self, rank):
        return {}


def _idle_rank(connection):
    decoder = Decoder()
    connection.queue(FrameKind.READY, json.dumps({"seconds": 0.0}).encode())
    connection.flush_all()
    connection.take()
    while True:
        last = 0
        for frame in connection.wait():
            last = frame.sequence
            for file in frame.files:
                os.close(file)
            if frame.kind is FrameKind.ASK:
                request = decoder.decode(frame).request
                encoded = encode_reply(Reply(request=request), passes_files=True)
                connection.queue(encoded.kind, *encoded.parts, session=frame.session, sequence=last)
        connection.queue(FrameKind.ACK, sequence=last)
        connection.flush_all()


def _segment(instructions, inputs, variant=0):
    """As a training step is: every instruction takes what earlier ones made, or what was given."""
    templates = tuple(
        Template(op="aten.add.Tensor", args=(INPUT, INPUT, number), inputs=(_META, _META), outputs=(_META,))
        for number in range(min(_KINDS, instructions))
    )
    steps = []
    for index in range(instructions):
        given = -1 - (index + variant) % inputs
        earlier = index - 1 - (variant * 7 + index) % min(index, 50) if index > 1 else given
        steps.append(Step(index % len(templates), (earlier, given), 1, 0))
    return Segment(templates=templates, steps=tuple(steps), inputs=(_META,) * inputs)


def _client(link, kind, instructions, seconds):
    """Sends for so long; gives how many instructions, and the seconds until the ranks had taken them all."""
    inputs = 2 if kind == "single" else 100
    size = 1 if kind == "single" else instructions
    # What a client makes of its own ops is measured elsewhere: here the messages are ready.
    segments = [_segment(size, inputs, variant) for variant in range(400 if kind == "new" else 1)]
    for value in range(inputs):
        link.send(Put(value=value, meta=_META, data=bytes(256)))
    link.send(Define(segment=0, body=segments[0]))
    link.request(Ask(request=0, topic="barrier"))
    held, number, sent = tuple(range(inputs)), inputs, 0
    live = tuple(range(max(0, size - inputs), size))
    kept = held[len(live) :]
    began = time.perf_counter()
    turn = 0
    while time.perf_counter() - began < seconds:
        segment = 0
        if kind == "new":
            segment = turn + 1
            link.send(Define(segment=segment, body=segments[turn % len(segments)]))
        made = tuple(range(number, number + len(live)))
        number += len(live)
        link.send(
            Call(segment=segment, inputs=held, live=live, outputs=made, freed=held[: len(live)], number=turn)
        )
        held = (*made, *kept)
        if size == 1:
            held = (held[0], number - 1)
            kept = held[1:]
        sent += size
        turn += 1
        if (kind != "single" and turn % 10 == 0) or turn % 1000 == 0:
            link.request(Ask(request=turn, topic="barrier"))
    link.request(Ask(request=turn + 1, topic="barrier"))
    return sent, turn, time.perf_counter() - began


def run(spec):
    """`clients`, `workers`, `kind`, `instructions` of a segment, `seconds`: instructions a second, all
    clients together."""
    address = Address(path=f"@outgrow-bench-{os.getpid()}")
    listener = address.listen()
    server = os.fork()
    if server == 0:
        dispatcher = Dispatcher(spec["workers"], _Source())
        dispatcher.reception.listen(listener, None)
        with contextlib.suppress(KeyboardInterrupt):
            dispatcher.run()
        os._exit(0)
    listener.close()
    pids, pipes = [], []
    for _ in range(spec["clients"]):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            connection = reach(address, b"", role="client")
            connection.reader.limit = 1 << 32
            link = WireLink(connection)
            found = _client(link, spec["kind"], spec["instructions"], spec["seconds"])
            os.write(writing, json.dumps({"figures": found, "sent": connection.sent_bytes}).encode())
            link.close()
            os._exit(0)
        os.close(writing)
        pids.append(pid)
        pipes.append(reading)
    told = []
    for pipe in pipes:
        with os.fdopen(pipe) as file:
            told.append(json.loads(file.read()))
    for pid in pids:
        os.waitpid(pid, 0)
    os.kill(server, 2)
    _, _, used = os.wait4(server, 0)
    instructions = sum(one["figures"][0] for one in told)
    seconds = max(one["figures"][2] for one in told)
    return {
        **spec,
        "instructions_sent": instructions,
        "calls": sum(one["figures"][1] for one in told),
        "elapsed_seconds": seconds,
        "instructions_per_second": instructions / seconds,
        "bytes_per_instruction": sum(one["sent"] for one in told) / instructions,
        "dispatcher_cpu_seconds": used.ru_utime + used.ru_stime,
        "instructions_per_dispatcher_cpu_second": instructions / (used.ru_utime + used.ru_stime),
        "peak_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
