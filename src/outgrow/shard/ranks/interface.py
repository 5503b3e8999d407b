"""Network interfaces by the address that they have."""

__all__ = ["interface_of"]

import contextlib
import fcntl
import ipaddress
import socket
import struct

_SIOCGIFADDR = 0x8915


def interface_of(address: str) -> str | None:
    """The interface with this IPv4 address, for example `lo`; None where none has it.

    Gloo otherwise takes the one that the machine's name leads to, which may lead nowhere.
    """
    host = ipaddress.ip_address(address)
    if host.version != 4:
        return None
    if host.is_loopback:
        return "lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                found = fcntl.ioctl(opened.fileno(), _SIOCGIFADDR, request)
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    return None
