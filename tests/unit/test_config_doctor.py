"""The doctor: what is missing gets a command, and only what the quickstart needs decides."""

from __future__ import annotations

import io
import socket
from importlib import metadata

import pytest
from rich.console import Console

from launch import doctor
from launch.doctor import Finding, examine, report
from launch.machine import Gpu, Machine, port_is_free

SMALL = Machine(cores=1, memory_gib=2.0, shm_gib=0.06, gpus=(), compiler="")
SERVER = Machine(64, 512.0, 256.0, (Gpu("H100", 80.0),) * 8, "/usr/bin/g++")


def said(findings: list[Finding]) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=160)
    ready = report(findings, console)
    return ready, console.file.getvalue()  # type: ignore[attr-defined]


def test_it_looks_at_everything() -> None:
    names = {finding.what for finding in examine()}
    assert {"Python", "torch", "vllm", "ray", "deepspeed", "CPU cores", "memory"} <= names
    assert {"shared memory", "GPUs", "sandbox", "port 6379", "port 8265", "disk here"} <= names


def test_what_the_quickstart_needs_decides() -> None:
    ready, text = said([Finding("memory", "1 GiB", "runs", "buy [more]", required=True)])
    assert not ready
    assert "missing memory: buy [more]" in text
    ready, text = said([Finding("sandbox", "[none]", "tools", "apt-get install bubblewrap")])
    assert ready
    assert "optional sandbox: apt-get install bubblewrap" in text
    assert "[none]" in text


def test_a_small_machine_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "this_machine", lambda: SMALL)
    found = {finding.what: finding for finding in examine()}
    assert found["memory"].required
    assert found["memory"].mend
    assert "--shm-size" in found["shared memory"].mend
    assert found["C++ compiler"].mend == "apt-get install g++"
    assert found["GPUs"].found == "none"


def test_gpus_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "this_machine", lambda: SERVER)
    found = {finding.what: finding for finding in examine()}
    assert found["GPUs"].found == "8 x H100"
    assert not found["memory"].mend


def test_a_missing_package_and_a_clashing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.13.0+cpu", "torchvision": "0.28.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    found = {finding.what: finding for finding in examine()}
    assert found["ray"].found == "not installed"
    assert found["ray"].mend == "make install"
    assert found["CUDA builds"].mend == "pip uninstall -y torchvision"


def test_a_taken_port_is_seen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)
