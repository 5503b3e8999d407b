"""Workers that torchrun started, on one machine or many: the same program in every process, which is a client
in one.

torchrun starts the program `WORLD_SIZE` times. Where it first uses a tensor on workers, process 0 goes on as
the only client, with a dispatcher of its own beside it that forks rank 0; each other process becomes the rank
of its number and serves until the client ends. They find the dispatcher through the store that torchrun keeps
for them.
"""

__all__ = ["is_under_torchrun", "start_torchrun"]

import atexit
import ipaddress
import json
import os
import socket
import sys
from datetime import timedelta
from typing import Any, NoReturn

from outgrow.errors import InputError
from outgrow.shard.engines.joining import serve_ranks
from outgrow.shard.engines.server_process import start_server
from outgrow.shard.wire.address import Address
from outgrow.shard.wire.link import WireLink
from outgrow.shard.wire.token import make_token

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MEET_SECONDS = 300.0


def is_under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def start_torchrun() -> WireLink:
    """A session with one worker for each process of torchrun. Comes back in process 0 alone: the others serve
    as workers, then leave by SystemExit.

    Raises:
        InputError: torchrun's variables are incomplete.
    """
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise InputError(
            f"torchrun's variables {', '.join(missing)} are not set", hint="start the program with torchrun"
        )
    rank, world_size, local_rank, local_world_size = (int(os.environ[name]) for name in _VARIABLES[:4])
    store = _store(rank, world_size)
    # After a restart by torchrun the store is the same one, and what was in it is of the processes before.
    key = f"outgrow/dispatcher/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if rank == 0:
        return _be_client(store, key, world_size, local_world_size)
    told = json.loads(store.get(key))
    return _be_rank(
        Address.parse(told["address"]), bytes.fromhex(told["token"]), rank, local_rank, local_world_size
    )


def _be_client(store: Any, key: str, world_size: int, local_world_size: int) -> WireLink:
    token = make_token()
    # Where the others reach torchrun's store they reach us.
    listener = Address(host=_own_address(world_size == local_world_size), port=0).listen()
    address = str(Address.of(listener))
    cores = len(os.sched_getaffinity(0))
    link = start_server(
        world_size,
        forked=1,
        threads=max(1, cores // local_world_size),
        listener=listener,
        token=token,
    )
    store.set(key, json.dumps({"address": address, "token": token.hex()}))
    if not _is_agents_store():
        # It lives in this process, and others read it when they get there.
        atexit.register(lambda: store)
    return link


def _be_rank(address: Address, token: bytes, rank: int, local_rank: int, local_world_size: int) -> NoReturn:
    serve_ranks(
        address,
        token,
        rank=rank,
        local_rank=local_rank,
        local_world_size=local_world_size,
        timeout_seconds=_MEET_SECONDS,
    )
    sys.stdout.flush()
    raise SystemExit(0)


def _store(rank: int, world_size: int) -> Any:
    """The store in which torchrun's processes meet: that of its agent, or else one in process 0."""
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    store = TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        world_size,
        is_master=rank == 0 and not _is_agents_store(),
        timeout=timedelta(seconds=_MEET_SECONDS),
        wait_for_workers=False,
    )
    return PrefixStore("outgrow", store)


def _is_agents_store() -> bool:
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _own_address(is_alone: bool) -> str:
    """The address of this machine on the network on which the others are."""
    master = os.environ["MASTER_ADDR"]
    if is_alone:
        return "127.0.0.1"
    try:
        found = socket.getaddrinfo(master, None, socket.AF_INET, socket.SOCK_STREAM)
        address = str(found[0][4][0])
        if not ipaddress.ip_address(address).is_loopback:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
                opened.connect((address, 1))  # nothing is sent: the kernel chooses our end
                return str(opened.getsockname()[0])
    except OSError as err:
        raise InputError(
            f"torchrun's store at {master} cannot be found: {err.strerror}",
            hint="start torchrun with --local-addr or --master-addr",
        ) from err
    raise InputError(
        f"torchrun calls the first machine {master!r}, which leads every machine to itself",
        hint="start torchrun with --local-addr (c10d rendezvous) or --master-addr (static)",
    )
