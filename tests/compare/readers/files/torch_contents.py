"""Ways in which torch writes files, and what is read of them."""

from pathlib import Path

from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits

WAYS = {
    "zip": {},
    "protocol 3": {"pickle_protocol": 3},
    "protocol 4": {"pickle_protocol": 4},
    "protocol 5": {"pickle_protocol": 5},
    "legacy": {"_use_new_zipfile_serialization": False},
}


def read(path: Path, **limits):
    return read_entry(path, path.name, Limits(**limits))


def names(content):
    return [record.inner for record in content.records]


def reasons(content):
    return {refusal.entry: refusal.reason for refusal in content.refused}
