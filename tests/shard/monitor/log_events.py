"""Events as a dispatcher writes them."""

START = {"event": "start", "time": 0.0, "version": 1, "world_size": 2, "began": 1.0}


def message(sequence, kind, times, *, segment=None, instructions=0, received=0.0, nbytes=64):
    return {
        "event": "message",
        "time": 1.0,
        "sequence": sequence,
        "session": 1,
        "kind": kind,
        "bytes": nbytes,
        "instructions": instructions,
        "segment": segment,
        "call": None,
        "received": received,
        "forwarded": received + 0.001,
        "ranks": times,
    }


EVENTS = [
    START,
    {"event": "session", "time": 0.0, "session": 1, "is_open": True},
    {"event": "ranks", "time": 0.01, "generation": 1, "is_ready": True},
    message(1, "PUT", [[0.010, 0.011], [0.010, 0.012]]),
    message(2, "CALL", [[0.020, 0.030], [0.021, 0.040]], segment=0, instructions=30, received=0.012),
    message(3, "CALL", [[0.040, 0.042], None], segment=1, instructions=3, received=0.013),
    message(4, "FETCH", [[0.050, 0.051], [0.050, None]], received=0.045),
]
