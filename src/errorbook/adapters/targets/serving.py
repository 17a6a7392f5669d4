"""A server of our own: a subprocess with its log, ready or explained, and gone when its owner is gone.

It knows nothing of models; which command to run, and when the server is ready, is told by the target.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from errorbook.adapters.targets import guard
from errorbook.errors import ModelError

_TAIL = 6
_LONGEST_LINE = 200


class ServedCommand:
    """One running command. Raises ModelError if the program is not there. Close it; a forgotten one dies with us."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        if shutil.which(command[0]) is None:
            raise ModelError(
                f"The program '{command[0]}' is not there; install it (vLLM: 'pip install vllm'), or set command in "
                "[target]."
            )
        self.name = " ".join([Path(command[0]).name, *command[1:3]])
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
        # The guard is run as a file, isolated, so that it starts in milliseconds and needs nothing of ours.
        self._guard = subprocess.Popen(  # noqa: S603 - the user's own command
            [sys.executable, "-I", "-S", guard.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **environment},
            start_new_session=True,
        )

    def ended(self, within: float = 0.0) -> int | None:
        """Its exit status, or None while it runs; one that is about to end may be waited for, in seconds."""
        try:
            return self._guard.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def tail(self) -> str:
        """The last lines of its log, as one line."""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), 8000, max(0, size - 8000)).decode("utf-8", "replace")
        lines = [line.strip()[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
        return " | ".join(lines[-_TAIL:]) or "it is empty"

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when the server is ready. Raises ModelError, with its log's tail, if it ends or takes too long."""
        until, pause = time.monotonic() + seconds, 0.02
        while not ready():
            if self.ended() is not None:
                raise ModelError(
                    f"The server '{self.name}' ended with status {self.ended()} before it was ready; put right what "
                    f"the end of its log says: {self.tail()}"
                )
            if time.monotonic() > until:
                raise ModelError(
                    f"The server '{self.name}' was not ready within {seconds:g} s; raise start_seconds in [target] or "
                    f"put right what the end of its log says: {self.tail()}"
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def close(self) -> None:
        """End the server and everything that it has started; returns when they are gone."""
        if self._log.closed:
            return
        assert self._guard.stdin is not None  # noqa: S101 - it is a pipe, for the type checker
        self._guard.stdin.close()
        try:
            self._guard.wait(guard.GRACE + 5.0)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._log.close()


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
