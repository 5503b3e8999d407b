import contextlib
import os
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.placement import Replicate, Shard
from outgrow.shard.instructions import FLOAT, INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Fetch, Place, Put, Reply
from outgrow.shard.wire.codec import Decoder, Encoder, decode_reply, encode_reply, inline_put
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError

_META = TensorMeta((2, 3), (3, 1), torch.float32)
_ADD = Template(op="aten.add.Tensor", args=(INPUT, INPUT), inputs=(_META, _META), outputs=(_META,))
_SCALE = Template(
    op="aten.mul.Scalar",
    args=(INPUT, FLOAT),
    kwargs=(("dtype", torch.float64),),
    inputs=(_META,),
    outputs=(_META,),
)
_SEGMENT = Segment(
    templates=(_ADD, _SCALE),
    steps=(Step(0, (-1, -2), 1, 0), Step(1, (0,), 1, 1), Step(0, (1, -1), 1, 0)),
    inputs=(_META, _META),
)


def _frames(encoded):
    return [
        Frame(
            one.kind,
            b"".join(bytes(part) for part in one.parts),
            files=() if one.file is None else (one.file,),
        )
        for one in encoded
    ]


def _round(message, *, passes_files=False):
    encoder, decoder = Encoder(passes_files=passes_files), Decoder()
    found = []
    for frame in _frames(encoder.encode(message)):
        try:
            found.append(decoder.decode(frame))
        finally:
            for file in frame.files:
                os.close(file)
    return [one for one in found if one is not None]


@pytest.mark.parametrize(
    "message",
    [
        Call(segment=3, inputs=(1, 1 << 40), live=(0, 2), outputs=(9, 10), freed=(1,), ends_step=True,
             number=7, floats=(0.1, float("inf"), -0.0)),
        Call(segment=0, inputs=(), live=(), outputs=()),
        Define(segment=4, body=_SEGMENT),
        Define(segment=0, body=Segment(templates=(), steps=(), inputs=())),
        Place(value=5, placement=Shard(1), is_pinned=True),
        Fetch(request=1, value=2, rank=None),
        Fetch(request=1, value=2, rank=1),
        Ask(request=2, topic="describe", details={"values": [1, 2], "text": "ü"}),
    ],
    ids=("call", "empty call", "define", "empty define", "place", "fetch", "fetch a piece", "ask"),
)  # fmt: skip
def test_messages_come_back_equal(message):
    assert _round(message) == [message]


@pytest.mark.parametrize("elements", [0, 1, 100_000])
@pytest.mark.parametrize("passes_files", [False, True])
def test_contents_come_back_and_do_not_change_with_their_source(elements, passes_files):
    source = torch.arange(elements, dtype=torch.float32)
    meta = TensorMeta((elements,), (1,), torch.float32)
    data = memoryview(source.numpy()).cast("B") if elements else b""
    encoder, decoder = Encoder(passes_files=passes_files), Decoder()
    (frame,) = _frames(encoder.encode(Put(value=1, meta=meta, data=data, placement=Replicate())))
    source.zero_()
    (found,) = [decoder.decode(frame)]
    for file in frame.files:
        os.close(file)
    assert (found.meta, found.placement, found.value) == (meta, Replicate(), 1)
    assert bytes(found.data) == torch.arange(elements, dtype=torch.float32).numpy().tobytes()
    assert bool(frame.files) == (passes_files and elements > 50_000)


def test_shared_contents_can_be_put_into_the_frame_for_another_machine():
    data = os.urandom(200_000)
    meta = TensorMeta((200_000,), (1,), torch.uint8)
    (frame,) = _frames(Encoder(passes_files=True).encode(Put(value=1, meta=meta, data=data)))
    inlined = Frame(FrameKind.PUT, inline_put(frame.payload, frame.files[0]))
    os.close(frame.files[0])
    assert bytes(Decoder().decode(inlined).data) == data


def test_each_template_passes_once():
    encoder, decoder = Encoder(passes_files=False), Decoder()
    first = _frames(encoder.encode(Define(segment=0, body=_SEGMENT)))
    again = _frames(encoder.encode(Define(segment=1, body=_SEGMENT)))
    assert [frame.kind for frame in first] == [FrameKind.TEMPLATES, FrameKind.DEFINE]
    assert [frame.kind for frame in again] == [FrameKind.DEFINE]
    found = [decoder.decode(frame) for frame in (*first, *again)]
    assert found[-1].body == _SEGMENT
    assert found[-1].body.templates[0] is found[1].body.templates[0]


def test_a_step_takes_few_bytes():
    steps = tuple(
        Step(0, (max(0, index - 1), max(0, index - 2)) if index else (-1, -1), 1, 0) for index in range(5000)
    )
    body = Segment(templates=(_ADD,), steps=steps, inputs=(_META,))
    (_, frame) = _frames(Encoder(passes_files=False).encode(Define(segment=0, body=body)))
    assert len(frame.payload) / len(steps) < 9


def test_a_message_that_cannot_be_sent_leaves_the_line_as_it_was():
    encoder, decoder = Encoder(passes_files=False), Decoder()
    bad = Template(op="aten.add.Tensor", args=(INPUT, torch.Generator()), inputs=(_META,), outputs=(_META,))
    with pytest.raises(InputError, match="Generator"):
        encoder.encode(Define(segment=0, body=Segment(templates=(_ADD, bad), steps=(), inputs=())))
    unknown = Template(op="mylib.op.default", inputs=(), outputs=())
    with pytest.raises(InputError, match=r"mylib\.op\.default"):
        encoder.encode(Define(segment=0, body=Segment(templates=(unknown,), steps=(), inputs=())))
    with pytest.raises(InputError, match="24"):
        encoder.encode(Put(value=0, meta=_META, data=b"short"))
    frames = _frames(encoder.encode(Define(segment=0, body=_SEGMENT)))
    assert [decoder.decode(frame) for frame in frames][-1].body == _SEGMENT


@pytest.mark.parametrize(
    "steps",
    [
        (Step(0, (-3, -1), 1, 0),), (Step(0, (0, -1), 1, 0),), (Step(2, (-1, -1), 1, 0),),
        (Step(0, (-1,), 1, 0),), (Step(0, (-1, -1), 2, 0),), (Step(-1, (-1, -1), 1, 0),),
    ],
    ids=["no such input", "its own result", "no such template", "too few", "makes too many", "negative"],
)  # fmt: skip
def test_a_segment_that_does_not_fit_itself_is_refused(steps):
    body = Segment(templates=(_ADD, _SCALE), steps=steps, inputs=(_META, _META))
    decoder = Decoder()
    frames = _frames(Encoder(passes_files=False).encode(Define(segment=0, body=body)))
    assert decoder.decode(frames[0]) is None
    with pytest.raises(ProtocolError):
        decoder.decode(frames[1])


def _samples():
    encoder = Encoder(passes_files=False)
    messages = (
        Define(segment=0, body=_SEGMENT),
        Call(segment=0, inputs=(1, 2), live=(0,), outputs=(3,), floats=(1.0,)),
        Put(value=1, meta=_META, data=bytes(24)), Fetch(request=1, value=1), Ask(request=1, topic="x"),
        Place(value=1, placement=Shard(0)),
    )  # fmt: skip
    return [frame for message in messages for frame in _frames(encoder.encode(message))]


@settings(max_examples=300)
@given(st.integers(0, 6), st.integers(0, 1 << 32), st.booleans())
def test_damaged_frames_are_messages_or_refused(index, seed, cuts):
    """Never another exception, whatever byte is wrong."""
    samples, chance = _samples(), random.Random(seed)
    frame = samples[index]
    payload = bytearray(frame.payload)
    if cuts:
        del payload[chance.randrange(len(payload)) :]
    else:
        for _ in range(3):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
    decoder = Decoder()
    decoder.decode(samples[0])
    with contextlib.suppress(ProtocolError):
        decoder.decode(Frame(frame.kind, bytes(payload)))


@pytest.mark.parametrize("nbytes", [0, 10, 100_000])
@pytest.mark.parametrize("passes_files", [False, True])
def test_replies_come_back(nbytes, passes_files):
    data = os.urandom(nbytes)
    reply = Reply(request=4, body={"shape": [nbytes], "error": {"kind": "ü"}}, data=data)
    (frame,) = _frames([encode_reply(reply, passes_files=passes_files)])
    found = decode_reply(frame)
    for file in frame.files:
        os.close(file)
    assert (found.request, found.body, bytes(found.data)) == (4, reply.body, data)
    if nbytes:
        found.data[0] = 1  # the receiver's own
