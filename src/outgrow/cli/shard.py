"""`outgrow shard`: workers that several programs use, and what they are doing."""

__all__ = ["SUBCOMMANDS", "shard"]

import contextlib
import socket
import sys
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.main import CommandEntry
from outgrow.cli.subcommands import Subcommands

SUBCOMMANDS = {
    "serve": CommandEntry(
        attribute="outgrow.cli.shard:serve", help="Start workers that programs connect to."
    ),
    "top": CommandEntry(attribute="outgrow.cli.shard_top:top", help="Show what every worker does, now."),
    "trace": CommandEntry(
        attribute="outgrow.cli.shard_trace:trace", help="Record some seconds of all workers for Perfetto."
    ),
    "visualize": CommandEntry(
        attribute="outgrow.cli.shard_visualize:visualize", help="Draw an instruction log as a timeline."
    ),
    "worker": CommandEntry(
        attribute="outgrow.cli.shard:worker",
        help="Be one worker of a dispatcher, here or on another machine.",
    ),
}
"""What follows `outgrow shard`; each is imported only to be run."""


@click.group(cls=Subcommands, entries=SUBCOMMANDS)
def shard() -> None:
    """Workers for sharded tensors: serve them to programs, join others, watch them."""


@click.command()
@click.option("--workers", type=int, default=None, help="Workers to start here; GPUs or 2 by default.")
@click.option("--world-size", type=int, help="Workers in all, if others join with `outgrow shard worker`.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to listen at; a free one by default."
)
@click.option("--log", type=click.Path(path_type=Path), help="Write every instruction to this file.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="File with the token that programs must know; written where it is not there.",
)
@render.quiet_option
def serve(
    workers: int | None,
    world_size: int | None,
    host: str,
    port: int,
    log: Path | None,
    token_file: Path | None,
) -> None:
    """Start workers and let programs use them until interrupted.

    Prints the address, to be given to `gt.connect`. Several programs can be connected at once; each has
    tensors of its own. Whoever connects must know the token: that of GT_TOKEN, or of the token file.
    """
    import torch

    from outgrow.shard.engines.remote import default_token_file
    from outgrow.shard.engines.serving import make_dispatcher
    from outgrow.shard.wire.address import Address
    from outgrow.shard.wire.token import find_token, make_token, read_token_file, write_token_file

    count = (world_size or torch.cuda.device_count() or 2) if workers is None else workers
    with contextlib.ExitStack() as stack:
        listener = Address(host=host, port=port).listen()
        stack.callback(listener.close)
        address = Address.of(listener)
        token = find_token() if token_file is None else None
        if token is None:
            path = token_file or default_token_file(address.port)
            if path.exists() and token_file is not None:
                token = read_token_file(path)
            else:
                token = make_token()
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # of a process that was killed: the port is ours now
                write_token_file(path, token)
                stack.callback(path.unlink, missing_ok=True)
            render.note(f"the token is in {path}")
        dispatcher = make_dispatcher(
            listener, token, workers=count, world_size=world_size, instruction_log=log
        )
        if not address.is_loopback:
            render.note(f"{address.host} is reached from other machines: what is sent is not encrypted")
        click.echo(str(address))
        sys.stdout.flush()
        dispatcher.run()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the dispatcher listens.")
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="Its port.")
@click.option("--rank", type=click.IntRange(0), help="Which worker to be; any that is missing by default.")
@click.option("--threads", type=click.IntRange(1), help="Threads of this worker; all cores by default.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the dispatcher's token.")
@click.option("--wait", default=30.0, show_default=True, help="Seconds to wait for the dispatcher.")
@render.quiet_option
def worker(
    host: str, port: int, rank: int | None, threads: int | None, token_file: Path | None, wait: float
) -> None:
    """Be one worker of the dispatcher that `outgrow shard serve` started, until it ends."""
    from outgrow.shard.engines.joining import serve_ranks
    from outgrow.shard.engines.remote import token_for
    from outgrow.shard.wire.address import Address

    address = Address(host=host, port=port)
    token = token_for(address, token_file=token_file)
    render.note(f"{socket.gethostname()} joins {address}")
    serve_ranks(address, token, rank=rank, threads=threads, timeout_seconds=wait)
