"""A filter of system calls: no new processes, no sockets, nothing that reaches around a sandbox.

Namespaces keep what runs in a sandbox from seeing the machine; this keeps it from starting
processes (a fork bomb slows everyone down until its deadline), from memory that no limit counts
(memfd, System V), from the sandbox's own init, and from the parts of the kernel in which most ways
out have been found. Threads are allowed.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from configs.errors import MissingCapability

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of classic BPF
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data, little-endian
CLONE_THREAD = 0x00010000
OTHER_ABI = 0x40000000  # numbers from here on are x32's on x86-64, and nobody's elsewhere


@dataclass(frozen=True, slots=True)
class Machine:
    """The numbers of an architecture's system calls (linux/audit.h, asm/unistd.h)."""

    arch: int
    clone: int
    clone3: int
    prlimit: int
    denied: tuple[int, ...]


MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(
        arch=0xC000003E,
        clone=56,
        clone3=435,
        prlimit=302,
        # fork vfork socket ptrace unshare setns bpf perf_event_open userfaultfd io_uring_setup
        # keyctl add_key request_key mount process_vm_readv process_vm_writev
        # memfd_create memfd_secret shmget msgget semget pidfd_getfd
        denied=(
            *(57, 58, 41, 101, 272, 308, 321, 298, 323, 425, 250, 248, 249, 165, 310, 311),
            *(319, 447, 29, 68, 64, 438),
        ),
    ),
    "aarch64": Machine(
        arch=0xC00000B7,
        clone=220,
        clone3=435,
        prlimit=261,
        # the same, without fork and vfork, which it does not have
        denied=(
            *(198, 117, 97, 268, 280, 241, 282, 425, 219, 217, 218, 40, 270, 271),
            *(279, 447, 194, 186, 190, 438),
        ),
    ),
}


def sandbox_filter() -> bytes:
    """The program for `bwrap --seccomp`. Raises MissingCapability on other architectures."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise MissingCapability(
            f"the Python sandbox has no list of system calls for {platform.machine()}; "
            f"there are {', '.join(MACHINES)}: leave its tasks out on this machine"
        )
    refuse = _step(RETURN, ERROR | errno.EPERM)
    program = [
        _step(LOAD, ARCH_AT),
        _step(EQUAL, machine.arch, if_so=1),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
        _step(AT_LEAST, OTHER_ABI, if_not=1),
        _step(RETURN, KILL),
        # Its flags lie in memory, unseen by filters; the C library then falls back to clone.
        _step(EQUAL, machine.clone3, if_not=1),
        _step(RETURN, ERROR | errno.ENOSYS),
        _step(EQUAL, machine.clone, if_not=4),
        _step(LOAD, FIRST_ARGUMENT_AT),
        _step(ANY_BIT, CLONE_THREAD, if_not=1),
        _step(RETURN, ALLOW),
        refuse,
        _step(EQUAL, machine.prlimit, if_not=4),
        _step(LOAD, FIRST_ARGUMENT_AT),
        _step(EQUAL, 0, if_not=1),  # one's own limits
        _step(RETURN, ALLOW),
        refuse,
    ]
    for number in machine.denied:
        program += [_step(EQUAL, number, if_not=1), refuse]
    return b"".join([*program, _step(RETURN, ALLOW)])


def _step(code: int, operand: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """One struct sock_filter: `if_so` and `if_not` are how many steps a test skips."""
    return struct.pack("<HBBI", code, if_so, if_not, operand)
