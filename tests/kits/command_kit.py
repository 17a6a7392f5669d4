"""Commands without a process of their own, which takes a second to start. tests/cli starts the program itself, too."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from subprocess import CompletedProcess

from errorbook.cli.main import run_command


def call(folder: Path, *arguments: str | Path) -> CompletedProcess[str]:
    """Run one command line in `folder`, with neither a terminal nor a person; a fault of ours is raised."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    words = [str(argument) for argument in arguments]
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(words)
    said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return CompletedProcess(words, code, said, complained)
