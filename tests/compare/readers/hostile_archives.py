"""Archives made to harm, and what has to be said of each."""

import functools
import gzip
import lzma
import random
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from tests.compare.readers.archive_makers import (
    ZipMember,
    pax_header,
    raw_tar,
    raw_zip,
    tar_header,
    tar_member,
    tensor_file,
    zipped,
)

GOOD = tensor_file(1)
FINE = ZipMember(b"fine.safetensors", GOOD)
FINE_TAR = tar_member(b"fine.safetensors", GOOD)
BAD, OTHER = b"bad.safetensors", b"b.safetensors"
LINK, FIFO, DEVICE = 0o120777 << 16, 0o010644 << 16, 0o020644 << 16


def zip_with(data: bytes = GOOD, method: int = 0, **fields: Any) -> bytes:
    return raw_zip(ZipMember(BAD, data, method, **fields), FINE)


def after_fine(*members: bytes) -> bytes:
    return raw_tar(FINE_TAR, *members)


@functools.cache
def bomb(packed_bytes: int) -> bytes:
    """Raw deflate of zeros."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(bytes(packed_bytes * 1000)) + deflate.flush()


def _zip64_extra(*values: int) -> bytes:
    body = b"".join(value.to_bytes(8, "little") for value in values)
    return b"\1\0" + len(body).to_bytes(2, "little") + body


REFUSED: Mapping[str, tuple[Callable[[], bytes], str]] = {
    # One entry called `bad.safetensors` is refused with these words, and `fine.safetensors` is read.
    "zip link": (lambda: zip_with(b"/etc/passwd", attributes=LINK), "a link"),
    "zip FIFO": (lambda: zip_with(b"", attributes=FIFO), "FIFO"),
    "zip device": (lambda: zip_with(b"", attributes=DEVICE), "device"),
    "zip encrypted": (lambda: zip_with(GOOD, flags=1), "encrypted"),
    "zip AES": (lambda: zip_with(GOOD, 99), "encrypted"),
    "zip hidden directory": (lambda: zip_with(GOOD, flags=0x2000), "encrypted"),
    "zip patch": (lambda: zip_with(GOOD, flags=0x20), "patch"),
    "zip lzma": (lambda: zip_with(GOOD, 14), "lzma"),
    "zip unknown method": (lambda: zip_with(GOOD, 77), "unknown method"),
    "zip crc, stored": (lambda: zip_with(GOOD, crc=1), "checksum"),
    "zip crc, deflated": (lambda: zip_with(GOOD, 8, crc=1), "checksum"),
    "zip says less": (lambda: zip_with(GOOD, 8, unpacked=9), "more than the 9"),
    "zip says more": (lambda: zip_with(GOOD, 8, unpacked=len(GOOD) + 1), "not to the"),
    "zip stored says more": (lambda: zip_with(GOOD, unpacked=2**31), "is stored in"),
    "zip bomb that lies": (
        lambda: zip_with(b"", 8, packed=bomb(200_000), unpacked=1000),
        "more than the 1,000",
    ),
    "zip bomb that does not": (lambda: zip_with(b"", 8, packed=bomb(100_000), unpacked=10**8), "max_ratio"),
    "zip says 4 GiB": (lambda: zip_with(GOOD, 8, unpacked=2**32 - 2), "max_ratio"),
    "zip says 2**63": (lambda: zip_with(GOOD, 8, unpacked=2**32 - 1, extra=_zip64_extra(2**63)), "max_ratio"),
    "zip64 field missing": (lambda: zip_with(GOOD, 8, unpacked=2**32 - 1), "zip64"),
    "zip64 field short": (lambda: zip_with(GOOD, 8, unpacked=2**32 - 1, extra=b"\1\0\4\0abcd"), "zip64"),
    "zip offset of 2**62": (
        lambda: zip_with(GOOD, offset=2**32 - 1, extra=_zip64_extra(2**62)),
        "behind the end",
    ),
    "zip offset into data": (
        lambda: raw_zip(FINE, ZipMember(BAD, GOOD, offset=20)),
        "not where the directory says",
    ),
    "zip reaches into directory": (
        lambda: raw_zip(FINE, ZipMember(BAD, GOOD, packed_size=2**20, unpacked=2**20)),
        "reaches into",
    ),
    "zip other name in front": (lambda: zip_with(GOOD, local_name=b"bed.safetensors"), "contradict"),
    "zip other method in front": (lambda: zip_with(GOOD, 8, local_method=0), "contradict"),
    "zip other size in front": (lambda: zip_with(GOOD, 8, local_unpacked=7), "contradict"),
    "zip other part": (lambda: zip_with(GOOD, disk=3), "another part"),
    "zip damaged deflate": (lambda: zip_with(GOOD, 8, packed=b"\xff" * 50), "damaged"),
    "zip deflate without end": (
        lambda: zip_with(GOOD, 8, packed=bomb(1)[:-3], unpacked=999),
        "in the middle",
    ),
    "zip cut deflate": (lambda: zip_with(GOOD, 8, packed=b"\0\x98\0\x67\xff" + GOOD[:9]), "in the middle"),
    "zip rubbish behind deflate": (
        lambda: zip_with(GOOD, 8, packed=b"\1\x98\0\x67\xff" + GOOD + b"hidden"),
        "hidden",
    ),
    "tar hard link": (
        lambda: raw_tar(tar_header(BAD, kind=b"1", linkname=b"/etc/passwd"), FINE_TAR),
        "a link",
    ),
    "tar symlink": (lambda: raw_tar(tar_header(BAD, kind=b"2", linkname=b"/etc/passwd"), FINE_TAR), "a link"),
    "tar symlink that says a size": (
        lambda: raw_tar(tar_header(BAD, 2**30, b"2", linkname=b"/etc"), FINE_TAR),
        "a link",
    ),
    "tar character device": (lambda: raw_tar(tar_header(BAD, kind=b"3"), FINE_TAR), "a device"),
    "tar block device": (lambda: raw_tar(tar_header(BAD, kind=b"4"), FINE_TAR), "a device"),
    "tar FIFO": (lambda: raw_tar(tar_header(BAD, kind=b"6"), FINE_TAR), "a FIFO"),
    "tar unknown kind": (lambda: raw_tar(tar_member(BAD, GOOD, b"Z"), FINE_TAR), "unknown kind"),
    "tar sparse of 8 EiB": (
        lambda: raw_tar(
            tar_member(BAD, GOOD, b"S", magic=b"ustar  \0", at483=b"\x80" + b"\x7f" + b"\xff" * 10), FINE_TAR
        ),
        "sparse",
    ),
    "tar sparse with more of its map": (
        lambda: raw_tar(
            tar_header(BAD, 0, b"S", magic=b"ustar  \0", at482=b"\1"),
            bytes(504) + b"\1" + bytes(7),
            bytes(512),
            FINE_TAR,
        ),
        "sparse",
    ),
    "tar sparse of pax": (
        lambda: raw_tar(
            pax_header({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**60)}),
            tar_member(BAD, GOOD),
            FINE_TAR,
        ),
        "sparse",
    ),
    "tar sparse of star": (
        lambda: raw_tar(pax_header({"SCHILY.realsize": "1"}), tar_member(BAD, GOOD), FINE_TAR),
        "sparse",
    ),
}


RAISED: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "zip without directory": (lambda: raw_zip(FINE)[:-30], "no directory at its end"),
    "zip cut in its directory": (lambda: raw_zip(FINE, directory_bytes=300), "cannot be where it says"),
    "zip of several parts": (lambda: raw_zip(FINE, disk=1), "one part of several"),
    "zip with more entries than it counts": (lambda: raw_zip(FINE, FINE, count=1), "more than its 1 entries"),
    "zip that counts more entries": (lambda: raw_zip(FINE, count=2), "cannot be where|damaged at byte"),
    "zip that counts 65,534": (lambda: raw_zip(FINE, count=65_534), "cannot be where"),
    "zip of 120,000 entries": (lambda: _many_zip(120_000), "120,000 entries"),
    "tar of 120,000 entries": (lambda: tar_header(b"a.safetensors") * 120_000, "more than 100,000 entries"),
    "tar.gz of 120,000 entries": (
        lambda: gzip.compress(b"".join(tar_header(b"%d.safetensors" % index) for index in range(120_000)), 1),
        "more than 100,000 entries",
    ),
    "bombs together": (
        lambda: raw_zip(
            *(
                ZipMember(b"%d.safetensors" % index, b"", 8, packed=bomb(60_000), unpacked=60_000_000)
                for index in range(20)
            )
        ),
        "max_ratio",
    ),
    "gzip bomb of no tar": (lambda: gzip.compress(bytes(10**8)), "max_ratio|not an archive"),
    "gzip bomb in an entry": (
        lambda: gzip.compress(tar_header(b"a.safetensors", 10**9) + bytes(10**8)),
        "max_ratio",
    ),
    "gzip bomb in an entry that nobody reads": (
        lambda: gzip.compress(tar_header(b"a.txt", 10**9) + bytes(10**8)),
        "max_ratio",
    ),
    "gzip bomb behind the end": (lambda: gzip.compress(raw_tar(FINE_TAR) + bytes(10**8)), "max_ratio"),
    "xz bomb": (
        lambda: lzma.compress(tar_header(b"a.safetensors", 10**9) + bytes(10**8), preset=0),
        "max_ratio",
    ),
    "xz that wants 1.5 GiB": (lambda: _xz_of_dictionary(2**30 + 2**29), "of memory to unpack"),
    "gzip of empty streams": (
        lambda: gzip.compress(raw_tar(FINE_TAR)) + gzip.compress(b"") * 200_000,
        "nearly empty streams",
    ),
    "gzip damaged": (
        lambda: _damaged(gzip.compress(raw_tar(tar_member(b"a.safetensors", _noise(10**5))))),
        "is damaged",
    ),
    "gzip checksum": (lambda: gzip.compress(raw_tar(FINE_TAR))[:-8] + b"12345678", "is damaged"),
    "tar of rubbish": (lambda: tar_header(b"a", octal=b"99999999999\0"), "is not an archive"),
    "tar of a negative size": (lambda: tar_header(b"a", octal=b"\xff" * 12), "is not an archive"),
}


def _noise(nbytes: int) -> bytes:
    return random.Random(0).randbytes(nbytes)


def _damaged(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + bytes(64) + data[half + 64 :]


def _many_zip(count: int) -> bytes:
    return zipped({f"{index}.safetensors": b"" for index in range(count)})


def _xz_of_dictionary(nbytes: int) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**12}]
    data = bytearray(lzma.compress(raw_tar(FINE_TAR), filters=filters))
    # The block header: its size, flags, then the filter with one byte for the dictionary.
    at = 12
    size = (data[at] + 1) * 4
    exponent = next(bits for bits in range(40) if (2 | bits & 1) << (bits // 2 + 11) >= nbytes)
    data[at + 4] = exponent
    data[at + size - 4 : at + size] = zlib.crc32(data[at : at + size - 4]).to_bytes(4, "little")
    return bytes(data)


CUT: Mapping[str, tuple[Callable[[], bytes], str]] = {
    # What stands before the damage is read; `(the rest of the archive)` is refused.
    "tar without end": (lambda: FINE_TAR, "no mark at its end"),
    "tar cut in a header": (lambda: FINE_TAR + FINE_TAR[:100], "no mark at its end"),
    "tar cut in an entry": (lambda: FINE_TAR + tar_member(OTHER, bytes(9000))[:2000], "in the middle"),
    "tar.gz cut": (
        lambda: gzip.compress(FINE_TAR + tar_member(OTHER, _noise(300_000)))[:200_000],
        "in the middle",
    ),
    "tar.gz without its checksum": (lambda: gzip.compress(raw_tar(FINE_TAR))[:-8], "in the middle"),
    "tar damaged": (lambda: after_fine(tar_header(OTHER, sum=b"000000\0 ")), "checksum"),
    "tar with more behind its end": (lambda: raw_tar(FINE_TAR) + FINE_TAR, "something follows"),
    "tar.gz with more behind its end": (
        lambda: gzip.compress(raw_tar(FINE_TAR) + FINE_TAR),
        "something follows",
    ),
    "tar.gz with rubbish behind it": (
        lambda: gzip.compress(raw_tar(FINE_TAR)) + b"rubbish",
        "something follows",
    ),
    "tar with two sizes": (
        lambda: after_fine(pax_header({"size": "512"}), tar_member(OTHER, bytes(2048))),
        "bytes and 512",
    ),
    "tar with a size that is none": (
        lambda: after_fine(pax_header({"size": "-1"}), tar_member(OTHER, GOOD)),
        "no number",
    ),
    "tar with a size of 20 digits": (
        lambda: after_fine(pax_header({"size": "9" * 20}), tar_member(OTHER, GOOD)),
        "no number",
    ),
    "tar that says 8 EiB": (
        lambda: after_fine(pax_header({"size": str(2**63 - 1)}), tar_header(OTHER)),
        "in the middle",
    ),
    "tar in base 256 that says 2**80": (
        lambda: after_fine(tar_header(OTHER, octal=b"\x80" + b"\xff" * 11)),
        "in the middle",
    ),
    "pax header of 1 GiB": (
        lambda: FINE_TAR + tar_header(b"x", 2**30, b"x") + bytes(4096),
        "1,073,741,824 bytes",
    ),
    "GNU name of 1 GiB": (
        lambda: FINE_TAR + tar_header(b"x", 2**30, b"L") + bytes(4096),
        "1,073,741,824 bytes",
    ),
    "GNU link name of 1 GiB": (
        lambda: FINE_TAR + tar_header(b"x", 2**30, b"K") + bytes(4096),
        "1,073,741,824 bytes",
    ),
    "gzipped pax header of 1 GiB": (
        lambda: gzip.compress(FINE_TAR + tar_header(b"x", 2**30, b"x") + bytes(10**7)),
        "1,073,741,824 bytes",
    ),
    "pax header cut": (lambda: FINE_TAR + tar_header(b"x", 9999, b"x") + bytes(4096), "extended header"),
    "pax header of rubbish": (lambda: after_fine(tar_member(b"x", b"rubbish", b"x"), FINE_TAR), "damaged"),
    "pax record of no length": (
        lambda: after_fine(tar_member(b"x", b"0 a=b\n" * 9, b"x"), FINE_TAR),
        "damaged",
    ),
    "pax record that is too long": (
        lambda: after_fine(tar_member(b"x", b"99 path=b\n", b"x"), FINE_TAR),
        "damaged",
    ),
    "pax length of many digits": (
        lambda: after_fine(tar_member(b"x", b"1" * 900_000 + b" a=b\n", b"x"), FINE_TAR),
        "damaged",
    ),
    "extended headers in a row": (
        lambda: after_fine(*[tar_member(b"x", b"name\0", b"L")] * 99, FINE_TAR),
        "follow each other",
    ),
    "global header that renames": (
        lambda: after_fine(pax_header({"path": "x"}, b"g"), tar_member(OTHER, GOOD)),
        "renames",
    ),
}
