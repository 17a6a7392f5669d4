"""One process in its own bubblewrap: no network, no files but Python's, no environment, no other process in sight.

The root is read-only and holds the interpreter, its libraries and the shared libraries of the system; the home and
`/tmp` are small, empty and in memory; there is no `/proc`, no `/sys` and of `/dev` only null, zero and urandom. Ending
the cell ends its process namespace, and with it every process inside, whatever they did. The cell does not limit time.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import py_compile
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from errorbook.errors import UserError
from errorbook.sandbox import leftovers, seccomp
from errorbook.sandbox.patience import Times, find_innermost, read_times

INSTALL = "sudo apt install bubblewrap"
PREFIX = "errorbook-cell-"
START_SECONDS = 30.0
READY_BYTES = 4 + len('["ready"]')
_TMP_BYTES = 8 << 20
_MODULES = ("blame", "confine", "faults", "objects", "referee", "remote", "rewriting", "wire", "worker")
_USERS = itertools.count()
_BOOT = "import sys; sys.path.insert(0, '/cell'); from errorbook.sandbox import {0}; {0}.main()"


class CellError(Exception):
    """The cell did not start; the message is bubblewrap's own."""


class Cell:
    """A running process, either side of the sandbox, and the socket to it. Use it in the thread that made it.

    (It dies with the *thread* that started it: that is what the kernel's parent-death signal follows.)
    """

    def __init__(self, side: Literal["worker", "referee"], memory: int, seconds: int) -> None:
        self.link, theirs = socket.socketpair()
        self._ready: bool | None = None
        with theirs, _filter(processes=side == "referee") as rules:
            descriptors = [theirs.fileno(), *rules]
            options = {
                "descriptor": theirs.fileno(),
                # A user of its own for each cell, if we are root, so that processes are counted by cell.
                "user": 0x50000000 + (os.getpid() % 0x100000) * 64 + next(_USERS) % 64,
                "memory": memory,
                "files": 1 << 20,
                "seconds": seconds,
                "processes": 16 if side == "worker" else 0,
            }
            command = [*_command(), *(["--seccomp", str(rules[0])] if rules else []), "--", *_python(side)]
            # An empty environment for bubblewrap itself as well: it stays in the namespace as its first process.
            self._process = subprocess.Popen(  # noqa: S603  (no shell; every word is made here)
                [*command, json.dumps(options)],
                pass_fds=descriptors,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )

    def wait(self) -> None:
        """Block until the process is ready. Raises CellError if it does not get so far."""
        if self._ready is None:
            self.link.settimeout(START_SECONDS)
            self._ready = self._says_ready()
            self.link.setblocking(True)  # the descriptor itself is shared with whoever it is handed to
        if not self._ready:
            self.kill()
            raise CellError(self._read_complaint())

    def read_times(self) -> Times:
        """How long the innermost process ran, and waited to run."""
        return read_times(find_innermost(self._process.pid))

    def was_shot(self) -> bool:
        """Whether the process has ended by signal 9: its own, or the one of a system that is out of memory."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=1.0) in {128 + signal.SIGKILL, -signal.SIGKILL}
        return False

    def kill(self) -> None:
        """End every process of the cell, at once. Harmless if it has ended."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it and give back its descriptors."""
        # Bubblewrap that is killed while it starts leaves its half-made namespace behind, for good.
        with contextlib.suppress(CellError):
            self.wait()
        self.kill()
        self.link.close()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _says_ready(self) -> bool:
        """Read the first frame, which the process sends before it has seen anything from outside."""
        missing = READY_BYTES
        with contextlib.suppress(OSError):
            while missing:
                part = self.link.recv(missing)
                if not part:
                    break
                missing -= len(part)
        return not missing

    def _read_complaint(self) -> str:
        stderr = self._process.stderr
        if stderr is None or stderr.closed:
            return "it ended at once"
        os.set_blocking(stderr.fileno(), False)  # what is left of the cell may still hold the other end
        return (stderr.read(4000) or b"").decode(errors="replace").strip()[-250:] or "it ended at once"


def require_sandbox() -> None:
    """Raise UserError, which says how to mend it, if this machine cannot run model-written code safely."""
    found = find_lack()
    if found:
        raise UserError(f"Model-written code cannot be run safely here: {found[0]}; {found[1]}.")


@functools.cache
def find_lack() -> tuple[str, str] | None:
    """What is missing for the sandbox and how to mend it, or None if a cell starts."""
    if not sys.platform.startswith("linux"):
        return "the sandbox needs Linux", "use a Linux machine or container"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed", f"run '{INSTALL}'"
    cell = Cell("worker", memory=512 << 20, seconds=5)
    try:
        cell.wait()
    except CellError as error:
        # Ubuntu 24.04 and some containers forbid user namespaces to ordinary programs.
        mend = "allow user namespaces with 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'"
        return f"bubblewrap does not start ({str(error)[:200]})", mend
    finally:
        cell.close()
    return None


@contextlib.contextmanager
def _filter(processes: bool) -> Iterator[list[int]]:
    """A pipe that holds the filter program, which bubblewrap reads to its end; nothing if none is known."""
    rules = seccomp.build_filter(processes)
    if rules is None:
        yield []
        return
    reader, writer = os.pipe()
    try:
        os.write(writer, rules)
        os.close(writer)
        yield [reader]
    finally:
        os.close(reader)


def _python(side: str) -> list[str]:
    return [str(_executable()), "-s", "-S", "-P", "-B", "-c", _BOOT.format(side)]


def _executable() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


@functools.cache
def _command() -> tuple[str, ...]:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UserError(f"Model-written code cannot be run safely here: bubblewrap is not installed; run '{INSTALL}'.")
    binds: list[str] = []
    inside = Path("/cell/errorbook/sandbox")
    # Bubblewrap's own choice for the folders above a bind shuts out the user that `confine` changes to.
    shared = [*_places(), inside, Path("/dev/null"), Path("/home/cell")]
    for folder in sorted({above for place in shared for above in place.parents} - {Path("/")}):
        binds += ["--perms", "0755", "--dir", str(folder)]
    for place in _places():
        kind = "--symlink" if place.is_symlink() else "--ro-bind"
        binds += [kind, str(place.readlink()) if place.is_symlink() else str(place), str(place)]
    devices = [part for name in ("null", "zero", "urandom") for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    small = ["--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs"]
    # As root there is no user namespace to make; the right to change the user is given up by `confine`.
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    return (
        *(bwrap, *(rights + namespaces if os.getuid() == 0 else ["--unshare-all", "--uid", "65534", "--gid", "65534"])),
        *("--die-with-parent", "--new-session", "--hostname", "cell", "--clearenv"),
        *("--setenv", "HOME", "/home/cell", "--setenv", "LANG", "C.UTF-8", "--setenv", "PYTHONHASHSEED", "0"),
        *binds,
        *("--ro-bind", _inside().name, str(inside)),
        *devices,
        *(*small, "/tmp", *small, "/home/cell", "--remount-ro", "/", "--chdir", "/home/cell"),  # noqa: S108
    )


@functools.cache
def _inside() -> tempfile.TemporaryDirectory[str]:
    """A folder with what runs inside, compiled once and not at every start; removed when this process ends."""
    leftovers.sweep(PREFIX)
    folder = tempfile.TemporaryDirectory(prefix=PREFIX)
    leftovers.claim(Path(folder.name))
    Path(folder.name).chmod(0o755)
    for name in ("__init__", *_MODULES):
        source = str(Path(__file__).with_name(f"{name}.py"))
        py_compile.compile(source, str(Path(folder.name) / f"{name}.pyc"), doraise=True)
    return folder


def _places() -> list[Path]:
    """What the interpreter needs: itself, its libraries, and the system's shared libraries. No programs beside it."""
    base = Path(sys.base_prefix)
    system = [Path(name) for name in ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64")]
    own = [base / "lib", Path(sysconfig.get_path("stdlib")), _executable()]
    found: list[Path] = []
    for place in [*system, *own, Path("/etc/ld.so.cache")]:
        if place.exists() and not any(place == other or place.is_relative_to(other) for other in found):
            found.append(place)
    return found
