import os

import pytest

from outgrow.errors import InputError
from outgrow.shard.wire.address import Address
from outgrow.shard.wire.token import find_token, make_token, read_token_file, write_token_file


def test_a_written_token_is_read_again_and_only_its_owner_can(tmp_path):
    path, token = tmp_path / "token", make_token()
    write_token_file(path, token)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_token_file(path) == token == find_token(file=path)
    with pytest.raises(InputError, match="cannot be written"):
        write_token_file(path, token)
    path.chmod(0o640)
    with pytest.raises(InputError, match="others than its owner"):
        read_token_file(path)


def test_tokens_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("GT_TOKEN", raising=False)
    assert find_token() is None
    monkeypatch.setenv("GT_TOKEN", "ab" * 32)
    assert find_token() == b"\xab" * 32
    assert find_token("cd" * 32) == b"\xcd" * 32


@pytest.mark.parametrize("text", ["", "xyz", "ab" * 31, "ab" * 33, "ü" * 64])
def test_what_is_no_token_is_refused(text, tmp_path):
    with pytest.raises(InputError, match="is no token"):
        find_token(text)
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InputError, match="is no token"):
        read_token_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_token_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("tcp://127.0.0.1:7070", "tcp://127.0.0.1:7070"),
        ("host:1", "tcp://host:1"),
        ("tcp://[::1]:65535", "tcp://[::1]:65535"),
        ("unix:/run/x", "unix:/run/x"),
        ("unix:@name", "unix:@name"),
    ],
)
def test_addresses_are_read_and_written(text, written):
    address = Address.parse(text)
    assert str(address) == written
    assert Address.parse(written) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:0", "host:65536", "host:http", "unix:", "unix:@",
                                  "unix:/" + "x" * 200])  # fmt: skip
def test_other_addresses_are_refused(text):
    with pytest.raises(InputError):
        Address.parse(text)


def test_only_this_machine_reaches_loopback():
    assert Address(host="127.0.0.1", port=1).is_loopback
    assert Address(path="@x").is_loopback
    assert not Address(host="0.0.0.0", port=1).is_loopback


def test_a_port_in_use_is_named():
    with Address(host="127.0.0.1", port=0).listen() as listener:
        taken = Address.of(listener)
        with pytest.raises(InputError, match=f"cannot listen at {taken}.*in use"):
            taken.listen()


def test_a_socket_without_a_file_is_reached_by_its_name():
    address = Address(path=f"@outgrow-test-{os.getpid()}")
    with address.listen() as listener:
        assert Address.of(listener) == address
        address.connect(1.0).close()
