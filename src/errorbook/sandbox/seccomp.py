"""The system calls that no tested program needs, as the filter program that `bwrap --seccomp` reads.

Without it a program could flood memory that no resource limit counts (shared memory segments, memory files), start
processes, trace others, or reach rarely used parts of the kernel. Known for x86-64 and AArch64 on Linux; on other
machines the namespaces and the resource limits have to do. Starting another program cannot be denied here, because the
filter is already on when the interpreter itself starts; without `fork` it replaces the tested program, which then
answers nothing.

The numbers are written here and not taken from libseccomp, because a wall must not depend on what a machine has by
accident: neither Python nor bubblewrap brings that library along, its own binding is not on PyPI, and pyseccomp, which
loads it by ctypes, had its last release in January 2021. If libseccomp is there, a test compares every number with it.
"""

from __future__ import annotations

import platform
import struct

DENIED: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {"fork": 57, "vfork": 58, "socket": 41, "shmget": 29, "shmat": 30, "semget": 64, "msgget": 68, "ptrace": 101}
        | {"pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "init_module": 175, "mq_open": 240}
        | {"kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272}
        | {"perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308}
        | {"process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "memfd_create": 319, "bpf": 321}
        | {"userfaultfd": 323},
    ),
    "aarch64": (
        0xC00000B7,
        {"socket": 198, "shmget": 194, "shmat": 196, "semget": 190, "msgget": 186, "ptrace": 117, "umount2": 39}
        | {"mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97, "kexec_load": 104, "init_module": 105}
        | {"mq_open": 180, "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241}
        | {"name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270}
        | {"process_vm_writev": 271, "finit_module": 273, "memfd_create": 279, "bpf": 280, "userfaultfd": 282},
    ),
}
NEWER = (
    {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429}
    | {"fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "pidfd_getfd": 438}
    | {"mount_setattr": 442, "memfd_secret": 447}
)
"""The same on every machine."""

CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
_CLONE_THREAD = 0x10000
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ERROR, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_EPERM, _ENOSYS = 1, 38


def build_filter(processes: bool, machine: str = "") -> bytes | None:
    """The filter for this machine, or None if its system calls are not known here.

    With `processes`, the process may fork; threads are always possible.
    """
    machine = machine or platform.machine()
    if machine not in DENIED:
        return None
    architecture, calls = DENIED[machine]
    lines = [_line(_LOAD, 4), _line(_EQUAL, architecture, 1, 0), _line(_RETURN, _KILL), _line(_LOAD, 0)]
    if machine == "x86_64":
        lines += [_line(_AT_LEAST, _X32, 0, 1), _line(_RETURN, _KILL)]
    denied = {number for name, number in (calls | NEWER).items() if not (processes and name in ("fork", "vfork"))}
    for number in sorted(denied):
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _ERROR | _EPERM)]
    # The flags of clone3 cannot be read by a filter; the C library falls back to clone if it is missing.
    lines += [_line(_EQUAL, CLONE3, 0, 1), _line(_RETURN, _ERROR | _ENOSYS)]
    if not processes:
        lines += [_line(_EQUAL, CLONE[machine], 0, 3), _line(_LOAD, 16)]
        lines += [_line(_ANY_BIT, _CLONE_THREAD, 1, 0), _line(_RETURN, _ERROR | _EPERM)]
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
