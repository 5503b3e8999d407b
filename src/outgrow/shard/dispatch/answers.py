"""What several ranks answered to one question, as one answer."""

__all__ = ["joined"]

import os

from outgrow.shard.dispatch.dispatch_state import Entry
from outgrow.shard.messages import Reply
from outgrow.shard.wire.codec import decode_reply, encode_reply
from outgrow.shard.wire.frame import Frame, FrameKind


def joined(entry: Entry) -> Frame:
    """The frame for the client: of a fetch the one that came; of `statistics` all, under `workers`; of other
    questions the first that says what went wrong, else that of rank 0."""
    frames: list[Frame] = [entry.answers[rank] for rank in sorted(entry.answers)]
    if entry.kind is FrameKind.FETCH:
        return frames[0]
    replies = [decode_reply(frame) for frame in frames]
    if entry.topic == "statistics":
        body = {"workers": [reply.body for reply in replies]}
        encoded = encode_reply(Reply(request=replies[0].request, body=body), passes_files=False)
        return Frame(encoded.kind, b"".join(encoded.parts))
    chosen = next((index for index, reply in enumerate(replies) if "error" in reply.body), 0)
    for index, frame in enumerate(frames):
        if index != chosen:
            for file in frame.files:
                os.close(file)
    return frames[chosen]
