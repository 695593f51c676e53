"""A filter of system calls: no new processes or threads, no sockets, nothing that reaches around a
sandbox.

Namespaces keep what runs in a sandbox from seeing the machine; this keeps it from starting
processes and threads (a bomb of either takes the whole machine's process numbers), from memory that
no limit counts (memfd, System V, large pipes), from the sandbox's own init, and from the parts of
the kernel in which most ways out have been found. It also keeps it from changing who may use the
few files it sees, and from locking them: they are the machine's, and the machine's root may own
them, so a device's mode or a lock would be seen outside, and by the next program.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from configs.errors import MissingCapability

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # of classic BPF
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT, SECOND_ARGUMENT_AT = 0, 4, 16, 24  # in seccomp_data
OTHER_ABI = 0x40000000  # numbers from here on are x32's on x86-64, and nobody's elsewhere
NEWER = 424
"""From here on numbers are those of all architectures, of system calls that came after Linux 5.1:
io_uring, clone3, pidfd and the like. "Not implemented" makes the C library fall back."""
FILE_LOCKS = 5
"""The first of fcntl's commands that is about locks, leases and signals; those before are harmless,
and of those behind F_DUPFD_CLOEXEC is."""
F_DUPFD_CLOEXEC = 1030


@dataclass(frozen=True, slots=True)
class Machine:
    """The numbers of an architecture's system calls (linux/audit.h, asm/unistd.h)."""

    arch: int
    prlimit: int
    fcntl: int
    denied: tuple[int, ...]


MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(
        arch=0xC000003E,
        prlimit=302,
        fcntl=72,
        denied=(
            # clone fork vfork socket ptrace unshare setns bpf perf_event_open userfaultfd
            *(56, 57, 58, 41, 101, 272, 308, 321, 298, 323),
            # keyctl add_key request_key mount process_vm_readv process_vm_writev modify_ldt
            *(250, 248, 249, 165, 310, 311, 154),
            # memfd_create shmget msgget semget io_setup inotify_init inotify_init1 fanotify_init
            *(319, 29, 68, 64, 206, 253, 294, 300),
            # chmod fchmod fchmodat chown fchown lchown fchownat utime utimes futimesat utimensat
            *(90, 91, 268, 92, 93, 94, 260, 132, 235, 261, 280),
            # setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr flock
            *(188, 189, 190, 197, 198, 199, 73),
            # sched_setparam sched_setscheduler sched_setaffinity sched_setattr setpriority
            # ioprio_set
            *(142, 144, 203, 314, 141, 251),
        ),
    ),
    "aarch64": Machine(
        arch=0xC00000B7,
        prlimit=261,
        fcntl=25,
        # the same, without those that it does not have
        denied=(
            *(220, 198, 117, 97, 268, 280, 241, 282),
            *(219, 217, 218, 40, 270, 271),
            *(279, 194, 186, 190, 0, 26, 262),
            *(52, 53, 55, 54, 88),
            *(5, 6, 7, 14, 15, 16, 32),
            *(118, 119, 122, 274, 140, 30),
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
    allow, refuse = _step(RETURN, ALLOW), _step(RETURN, ERROR | errno.EPERM)
    program = [
        _step(LOAD, ARCH_AT),
        _step(EQUAL, machine.arch, if_so=1),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
        _step(AT_LEAST, OTHER_ABI, if_not=1),
        _step(RETURN, KILL),
        _step(AT_LEAST, NEWER, if_not=1),
        _step(RETURN, ERROR | errno.ENOSYS),
        _step(EQUAL, machine.prlimit, if_not=4),
        _step(LOAD, FIRST_ARGUMENT_AT),
        _step(EQUAL, 0, if_not=1),  # one's own limits
        allow,
        refuse,
        _step(EQUAL, machine.fcntl, if_not=5),
        _step(LOAD, SECOND_ARGUMENT_AT),
        _step(EQUAL, F_DUPFD_CLOEXEC, if_so=1),
        _step(AT_LEAST, FILE_LOCKS, if_so=1),
        allow,
        refuse,
    ]
    for number in machine.denied:
        program += [_step(EQUAL, number, if_not=1), refuse]
    return b"".join([*program, allow])


def _step(code: int, operand: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """One struct sock_filter: `if_so` and `if_not` are how many steps a test skips."""
    return struct.pack("<HBBI", code, if_so, if_not, operand)
