import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from outgrow.errors import InputError
from outgrow.shard.engines import torchrun

_PROGRAM = """
    import os, torch
    import outgrow.shard
    from outgrow.shard.client.session import default_session
    torch.manual_seed(0)
    model, data = torch.nn.Linear(8, 4), torch.randn(16, 8)
    plain = model(data).pow(2).mean().item()
    on_workers = model.to("workers")(data.to("workers")).pow(2).mean().item()
    assert abs(plain - on_workers) < 1e-6
    workers = default_session().ask("statistics")["workers"]
    assert len({worker["order"] for worker in workers}) == 1
    print("client", os.environ["RANK"], "of", len(workers), flush=True)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(_PROGRAM))
    return path


def _torchrun(*words, before=()):
    return subprocess.Popen(
        [*before, sys.executable, "-m", "torch.distributed.run", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_incomplete_variables_are_named(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.setenv(name, "0")
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(InputError, match="MASTER_PORT"):
        torchrun.start_torchrun()


def test_a_first_machine_that_leads_to_itself_is_named(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert torchrun._own_address(is_alone=True) == "127.0.0.1"
    with pytest.raises(InputError, match="'localhost', which leads every machine to itself"):
        torchrun._own_address(is_alone=False)
    monkeypatch.setenv("MASTER_ADDR", "no.such.host.invalid")
    with pytest.raises(InputError, match="cannot be found"):
        torchrun._own_address(is_alone=False)


@pytest.mark.slow
def test_one_process_is_the_client_and_all_are_workers(program):
    started = _torchrun("--standalone", "--nproc-per-node", "3", str(program))
    output, errors = started.communicate(timeout=200)
    assert started.returncode == 0, errors
    assert output == "client 0 of 3\n"


@pytest.fixture
def machines():
    """Two network namespaces with a cable between them; gives their addresses."""
    names = [f"og{os.getpid() % 100_000}{end}" for end in "ab"]
    ip = shutil.which("ip")
    if ip is None or os.geteuid() != 0 or not Path("/proc/self/ns/net").exists():
        pytest.skip("network namespaces need root and iproute2")

    def run(*words):
        return subprocess.run([ip, *words], capture_output=True, text=True, check=False)

    if run("netns", "add", names[0]).returncode:
        pytest.skip("network namespaces cannot be made here")
    try:
        run("netns", "add", names[1])
        for name in names:
            run("-n", name, "link", "set", "lo", "up")
        made = run(
            "-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1]
        )
        if made.returncode:
            pytest.skip("there are no virtual cables here")
        addresses = ["10.251.7.1", "10.251.7.2"]
        for name, address in zip(names, addresses, strict=True):
            run("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            run("-n", name, "link", "set", "cable", "up")
        yield [((ip, "netns", "exec", name), address) for name, address in zip(names, addresses, strict=True)]
    finally:
        for name in names:
            run("netns", "del", name)


@pytest.mark.slow
@pytest.mark.parametrize("rendezvous", ["static", "c10d"])
def test_two_machines_run_one_program(program, machines, rendezvous):
    first = machines[0][1]
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    running = []
    for node, (before, address) in enumerate(machines):
        words = ["--nnodes", "2", "--nproc-per-node", "2"]
        if rendezvous == "static":
            words += ["--node-rank", str(node), "--master-addr", first, "--master-port", str(port)]
        else:
            words += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first}:{port}", "--rdzv-id", "x",
                      "--rdzv-conf", f"is_host={int(node == 0)}", "--local-addr", address]  # fmt: skip
        running.append(_torchrun(*words, str(program), before=before))
    outputs = [one.communicate(timeout=250) for one in running]
    assert [one.returncode for one in running] == [0, 0], outputs
    assert outputs[0][0] == "client 0 of 4\n"
    assert outputs[1][0] == ""
