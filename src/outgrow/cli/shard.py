"""`outgrow shard`: workers that several programs use, and what they are doing."""

__all__ = ["SUBCOMMANDS", "shard"]

import contextlib
import socket
import sys
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.command_group import CommandEntry, CommandGroup
from outgrow.cli.dispatcher_options import token_option

SUBCOMMANDS = {
    "serve": CommandEntry(
        attribute="outgrow.cli.shard:serve", help="Start workers that programs connect to."
    ),
    "worker": CommandEntry(
        attribute="outgrow.cli.shard:worker",
        help="Be one worker of a dispatcher, here or on another machine.",
    ),
    "top": CommandEntry(attribute="outgrow.cli.shard_top:top", help="Show what every worker does now."),
    "trace": CommandEntry(
        attribute="outgrow.cli.shard_trace:trace", help="Record some seconds of all workers for Perfetto."
    ),
    "visualize": CommandEntry(
        attribute="outgrow.cli.shard_visualize:visualize", help="Draw an instruction log as a timeline."
    ),
}
"""What follows `outgrow shard`; each is imported only to be run."""


@click.group(cls=CommandGroup, entries=SUBCOMMANDS)
@render.quiet_option
def shard() -> None:
    """Serve workers to programs, and look at what they do."""


@click.command()
@click.option(
    "--workers", type=int, metavar="N", show_default="the GPUs, else 2", help="Workers to start here."
)
@click.option(
    "--world-size",
    type=int,
    metavar="N",
    show_default="those started here",
    help="Workers in all, where others join with `outgrow shard worker`.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Where to listen: name or number."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="PORT",
    help="Port to listen at; 0 takes any that is free.",
)
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="FILE", help="Write every instruction to a file."
)
@token_option
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
    tensors of its own. Whoever connects must know the token: that of GT_TOKEN, or of the token file, which is
    written where it is not there.
    """
    import torch

    from outgrow.shard.engines.remote import default_token_file
    from outgrow.shard.engines.serving import make_dispatcher
    from outgrow.shard.wire.address import Address
    from outgrow.shard.wire.token import find_token, make_token, read_token_file, write_token_file
    from outgrow.store.writer import make_private_directory

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
                make_private_directory(path.parent)
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
@click.option(
    "--address",
    metavar="ADDRESS",
    required=True,
    help="Of a dispatcher, as `outgrow shard serve` prints it.",
)
@click.option(
    "--rank",
    type=click.IntRange(0),
    metavar="N",
    show_default="any that is missing",
    help="Which worker to be.",
)
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", show_default="all cores", help="Threads of this worker."
)
@token_option
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the dispatcher.",
)
@render.quiet_option
def worker(address: str, rank: int | None, threads: int | None, token_file: Path | None, wait: float) -> None:
    """Be one worker of the dispatcher that `outgrow shard serve` started, until it ends."""
    from outgrow.shard.engines.joining import serve_ranks
    from outgrow.shard.engines.remote import token_for
    from outgrow.shard.wire.address import Address

    place = Address.parse(address)
    token = token_for(place, token_file=token_file)
    render.note(f"{socket.gethostname()} joins {place}")
    serve_ranks(place, token, rank=rank, threads=threads, timeout_seconds=wait)
