"""Limits that a process inside the sandbox puts on itself, for good, before it reads anything from outside.

They cannot be raised again: the process has no capability left. Time is not limited here but by the parent, which
kills the whole process namespace at the wall clock; the limit of processor time is only a second line.
"""

from __future__ import annotations

import os
import resource


def confine(user: int, memory: int, files: int, seconds: int, processes: int) -> None:
    """Become `user` if we are root, then limit memory and file size (bytes), processor time and processes.

    `processes` counts threads, too; 0 leaves them alone.
    """
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, files),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, processes or resource.RLIM_INFINITY),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 64),
    ):
        _, hard = resource.getrlimit(kind)
        bounds = [bound for bound in (most, hard) if bound != resource.RLIM_INFINITY]
        if bounds:
            resource.setrlimit(kind, (min(bounds), min(bounds)))
