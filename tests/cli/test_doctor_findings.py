import builtins
import errno
import os
import socket
import sys

import pytest

from outgrow.cli import doctor_findings
from outgrow.cli.doctor_rooms import extras


def test_packages_are_found_without_importing_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "PyYAML" not in doctor_findings.find_packages()
    names = {package.name for packages in extras.values() for package in packages}
    assert set(doctor_findings.find_packages()) <= names


def test_a_package_that_lies_on_the_path_without_pip_is_there(tmp_path, monkeypatch):
    (tmp_path / "kvikio.py").write_text("raise SystemExit('it must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor_findings.find_packages()["kvikio-cu12"] == "unknown"


def test_shared_memory_that_is_forbidden_is_said(monkeypatch):
    assert doctor_findings.shared_memory_problem() is None

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert doctor_findings.shared_memory_problem() == "memfd_create: Operation not permitted"
    monkeypatch.delattr(os, "memfd_create")
    assert "memfd_create" in doctor_findings.shared_memory_problem()


def test_a_machine_without_loopback_is_said(monkeypatch):
    assert doctor_findings.loopback_problem() is None

    def refuse(*_, **__):
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", refuse)
    assert doctor_findings.loopback_problem() == "Cannot assign requested address"


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'torch'"), OSError("libgomp.so.1: no\nmore")]
)
def test_a_torch_that_does_not_load_is_a_line(monkeypatch, error):
    assert doctor_findings.torch_problem() is None
    plain = builtins.__import__

    def refuse(name, *rest):
        if name == "torch":
            raise error
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert doctor_findings.torch_problem() == str(error).splitlines()[0]
