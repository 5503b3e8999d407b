"""Pages of a file in memory, without a file that stays open for them."""

__all__ = ["map_pages"]

import ctypes
import mmap
import os
import weakref

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
)  # fmt: skip
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value
# The page cache may hold pieces of a file of this size, which are mapped as a whole: one page fault, not 32.
_PIECE = 1 << 21


def map_pages(descriptor: int, offset: int, nbytes: int) -> memoryview:
    """`nbytes` bytes of an open file from `offset` on, as pages that the system may take back; at least one.

    The standard library's `mmap` keeps a descriptor for as long as the pages live (up to Python 3.13), and a
    process has about a thousand, fewer than two models have tensors. Writing changes a copy of the page.

    Raises:
        OSError: the system refuses.
    """
    is_large = nbytes >= _PIECE
    skipped = offset % (_PIECE if is_large else mmap.ALLOCATIONGRANULARITY)
    length = skipped + nbytes
    if is_large:
        # To the end of the last piece, maybe beyond that of the file: nobody touches those pages.
        length += -length % _PIECE
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    address = _LIBC.mmap(None, length, protection, mmap.MAP_PRIVATE, descriptor, offset - skipped)
    if address is None or address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    pages = (ctypes.c_char * nbytes).from_address(address + skipped)
    # Whoever looks at the pages holds `pages`. At the end of the process all goes by itself, and tensors may
    # still be alive then.
    weakref.finalize(pages, _LIBC.munmap, address, length).atexit = False
    return memoryview(pages).cast("B")
