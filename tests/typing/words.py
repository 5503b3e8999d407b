"""Not run: mypy checks that callers see these types (`make check`)."""

from pathlib import Path
from typing import assert_type

from torch import Tensor

from outgrow.devices import BandwidthSample, MemoryState, Slab, memory_state, probe_read_bandwidth
from outgrow.errors import nearest_names
from outgrow.quantities import format_bytes, parse_bytes

assert_type(parse_bytes("4GB"), int)
assert_type(format_bytes(1.5), str)
assert_type(nearest_names("a", ["b"]), tuple[str, ...])
assert_type(memory_state(), MemoryState)
assert_type(probe_read_bandwidth(Path(), mode="buffered"), BandwidthSample)
with Slab(4096) as slab:
    assert_type(slab, Slab)
    assert_type(slab.tensor, Tensor)
    assert_type(slab.view, memoryview)
