"""Contents that processes of one machine share instead of copying: sealed files that exist only in memory."""

__all__ = ["make_shared", "open_shared"]

import fcntl
import mmap
import os
from typing import Any

from outgrow.shard.wire.frame import ProtocolError

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def make_shared(data: Any) -> int:
    """A descriptor of a file in memory that holds the bytes and can never change; the caller closes it.

    No name, no debris: the memory goes with the last process that holds it.
    """
    view = memoryview(data).cast("B")
    file = os.memfd_create("outgrow", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        at = 0
        while at < len(view):
            at += os.write(file, view[at : at + (1 << 30)])
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(file)
        raise
    return file


def open_shared(file: int, nbytes: int) -> memoryview:
    """The bytes of such a file: writable, and whoever writes gets pages of their own. The descriptor stays
    the caller's.

    Raises:
        ProtocolError: the file is another size, or could still change or shrink, which would kill its
        readers.
    """
    try:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
        size = os.fstat(file).st_size
    except OSError as err:
        raise ProtocolError("a file that came is not one in memory") from err
    if seals & _SEALS != _SEALS:
        raise ProtocolError("a file that came is not sealed")
    if size != nbytes:
        raise ProtocolError(f"a file that came has {size:,} bytes, expected {nbytes:,}")
    if nbytes == 0:
        return memoryview(bytearray())
    return memoryview(mmap.mmap(file, nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE))
