"""What passes between processes: frames, messages in bytes, addresses, tokens, the handshake."""
