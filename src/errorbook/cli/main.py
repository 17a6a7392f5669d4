"""The command line: parse, call, render. Data goes to stdout, progress and complaints to stderr.

Exit codes: 0 done, 1 the run did not reach its goal, 2 the user must fix something, 130 stopped by Ctrl-C or SIGTERM.
Nothing heavy is imported before a command needs it, so that `errorbook --help` is quick. It decides nothing.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator

import click

from errorbook.cli.compare import compare
from errorbook.cli.doctor import doctor
from errorbook.cli.experiment import experiment
from errorbook.cli.export import export
from errorbook.cli.import_logs import import_logs
from errorbook.cli.init import init
from errorbook.cli.options import complain
from errorbook.cli.plan import plan
from errorbook.cli.report import report, status
from errorbook.cli.run import demo, exam, run
from errorbook.cli.streams import drop_stdout, finish, prepare
from errorbook.cli.tasks import tasks
from errorbook.cli.ui import ui
from errorbook.cli.verify import verify
from errorbook.errors import ErrorbookError
from errorbook.version import __version__

_COMMANDS = [
    *(compare, demo, doctor, exam, experiment, export, import_logs, init, plan, report, run, status, tasks, ui),
    verify,
]
_QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}

FAULT = 70
"""The exit code after a traceback: a fault of ours (EX_SOFTWARE of sysexits.h)."""


@click.group(commands=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
@click.version_option(__version__, prog_name="errorbook")
def cli(debug: bool) -> None:
    """Make a small language model better by learning from its own errors, and prove it.

    Start with 'errorbook demo': the whole loop on the embedded model, offline, in minutes.
    """


def main() -> None:
    """Run the command line and exit; every error on purpose is one sentence on stderr."""
    prepare()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        code = run_command(sys.argv[1:])
    except Exception:  # a traceback of Python's own would end with 1, which means that no model was better
        sys.excepthook(*sys.exc_info())
        code = FAULT
    finish()
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Run one command line, such as ["report", "--json"], and return its exit code; a fault of ours is raised."""
    try:
        code = cli.main(args=arguments, prog_name="errorbook", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        complain("stopped; the same command goes on.")
        return 130
    except (BrokenPipeError, SystemExit) as end:  # click and rich make the one of the other
        if not any(isinstance(cause, BrokenPipeError) for cause in _causes(end)):
            raise
        drop_stdout()  # the reader, such as `head`, has gone: nothing is wrong
        return 0
    except Exception as error:
        code = _explain(error)
        if code is None:
            raise
        if "--debug" in arguments:
            traceback.print_exception(error)
        return code


def _explain(error: Exception) -> int | None:
    """Say what went wrong in one sentence and return the exit code, or None if only a traceback helps."""
    if any(_is_disk_full(cause) for cause in _causes(error)):
        complain("the disk is full; free some space and give the same command again: nothing is lost.")
        drop_stdout()
        return 2
    if isinstance(error, ErrorbookError):
        complain(str(error))
        return 2
    if isinstance(error, OSError) and error.filename:
        complain(f"'{error.filename}' cannot be used ({error.strerror}); check the path and its permissions.")
        return 2
    if isinstance(error, OSError) and error.strerror:
        complain(f"a file or stream cannot be used ({error.strerror}); see to it and give the same command again.")
        drop_stdout()
        return 2
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return full or "No space left on device" in str(error)
