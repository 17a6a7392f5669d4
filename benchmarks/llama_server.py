"""llama.cpp's own server in a process of its own, from the wheel of `xllamacpp`: one GGUF file behind a socket.

    python -m benchmarks.llama_server FILE [--slots 4] [--name NAME]

It prints its address and ends when its standard input does, so that nothing is left behind if its starter dies. It
asks for the key in LLAMA_KEY if there is one, and writes its log to stderr.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

KEY = "LLAMA_KEY"
"""The environment variable with the key that the server asks for."""
MISSING = "llama.cpp's server is not installed: 'make setup' brings it, or pip install xllamacpp."
CONTEXT = 4096
"""Tokens of each slot, prompt and answer together."""


def is_installed() -> bool:
    """Whether there is a server to start."""
    return find_spec("xllamacpp") is not None


@contextmanager
def serving(file: Path, log: Path, slots: int = 4, name: str = "exported") -> Iterator[str]:
    """The base URL of a server of `file`, which ends with the block; what it says is in `log`.

    Raises:
        RuntimeError: It did not start; the message holds the end of its log.
    """
    command = [sys.executable, "-m", "benchmarks.llama_server", str(file), "--slots", str(slots), "--name", name]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"The server did not start: {log.read_text(errors='replace')[-500:]}")
            yield f"{address}/v1"
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


def _serve(file: str, slots: int, name: str) -> None:
    import xllamacpp

    wanted: Any = xllamacpp.CommonParams()
    wanted.model.path = file
    wanted.model_alias = {name}
    wanted.port = 0  # any free one
    wanted.n_parallel = slots
    wanted.n_ctx = slots * CONTEXT
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    wanted.api_keys = [os.environ[KEY]] if os.environ.get(KEY) else []
    running = xllamacpp.Server(wanted)
    print(running.listening_address, flush=True)
    sys.stdin.read()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--name", default="exported")
    given = parser.parse_args()
    if not is_installed():
        sys.exit(MISSING)
    _serve(given.file, given.slots, given.name)


if __name__ == "__main__":
    main()
