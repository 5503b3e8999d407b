"""Messages as bytes: encoding, framing, handshake and the client's end of the line."""

__all__: list[str] = []
