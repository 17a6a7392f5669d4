"""The command line: exit codes, one clear sentence for each mistake, data on stdout and the rest on stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_kit import call
from synthetic_run import write_exam, write_run

from errorbook.cli.main import cli

PROGRAM = Path(sys.executable).parent / "errorbook"
RUN_FILE = """
[run]
name = "small"
cycles = 1
seed = 1

[target]
engine = "scripted"
model = "scripted"
{target}

[instructor]
kind = "scripted"

[[tasks]]
name = "arithmetic"
train = 26
dev = 26
test = 13

[strategy]
name = "undirected"
retriever = "scripted"

[train]
method = "scripted"
"""


def errorbook(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command; a traceback is never acceptable."""
    reply = call(folder, *arguments)
    assert "Traceback" not in reply.stderr or "--debug" in arguments, reply.stderr
    return reply


def complaint(reply: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on stderr of a command that the user must fix."""
    assert reply.returncode == 2, reply.stderr
    assert reply.stdout == ""
    (line,) = reply.stderr.splitlines()
    assert line.startswith("errorbook: ")
    assert line[-1] in ".?"
    return line


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with finished, fruitless, unfinished and exam-only runs."""
    folder = tmp_path_factory.mktemp("cli")
    write_exam(folder / "runs" / "exam")
    write_run(folder / "runs" / "part", stop_after=6)
    write_run(folder / "runs" / "none", accept=False)
    write_run(folder / "runs" / "good")
    return folder


def test_help_names_every_command(tmp_path: Path) -> None:
    reply = subprocess.run([PROGRAM, "--help"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert reply.returncode == 0
    for command in ("demo", "doctor", "exam", "init", "plan", "report", "run", "status"):
        assert command in reply.stdout
        assert errorbook(tmp_path, command, "--help").returncode == 0


@pytest.mark.parametrize("command", ["plan", "run", "exam"])
def test_a_missing_run_file_is_one_sentence(tmp_path: Path, command: str) -> None:
    assert "There is no run file 'absent.toml'; 'errorbook init'" in complaint(
        errorbook(tmp_path, command, "absent.toml")
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("cycles = 1", "cicles = 1", "did you mean 'cycles'?"),
        ("cycles = 1", 'cycles = "many"', "'run.cycles' is 'many'; it must be a whole number"),
        ("cycles = 1", "cycles = ", "not valid TOML"),
        ('name = "arithmetic"', 'name = "arithmetics"', "Did you mean 'arithmetic'?"),
        ('kind = "scripted"', 'kind = "guru"', "There is no instructor called 'guru'"),
        ("[strategy]", "[strategies]", "did you mean 'strategy'?"),
    ],
)
def test_a_wrong_run_file_is_one_sentence_with_the_fix(tmp_path: Path, old: str, new: str, expected: str) -> None:
    (tmp_path / "run.toml").write_text(RUN_FILE.format(target="").replace(old, new, 1))

    assert expected in complaint(errorbook(tmp_path, "run", "run.toml"))


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_missing_ledger_is_one_sentence(tmp_path: Path, command: str) -> None:
    assert "errorbook demo" in complaint(errorbook(tmp_path, command))
    assert "There is no ledger at 'absent/ledger.sqlite'" in complaint(errorbook(tmp_path, command, "absent"))


@pytest.mark.parametrize("command", ["status", "report"])
@pytest.mark.parametrize("content", [b"not a ledger at all, but long enough to be read as one" * 40, b""])
def test_something_else_in_place_of_a_ledger_is_one_sentence(tmp_path: Path, command: str, content: bytes) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(content)

    assert "ledger" in complaint(errorbook(tmp_path, command, tmp_path))


def test_wrong_options_end_with_2(tmp_path: Path) -> None:
    assert errorbook(tmp_path, "demo", "--strategy", "guess").returncode == 2
    assert errorbook(tmp_path, "demo", "--cycles", "0").returncode == 2
    assert errorbook(tmp_path, "frobnicate").returncode == 2


def test_debug_shows_where_an_error_was_raised(tmp_path: Path) -> None:
    reply = errorbook(tmp_path, "--debug", "plan", "absent.toml")

    assert "ConfigError" in reply.stderr
    assert "Traceback" in reply.stderr


def test_status_is_of_the_latest_run_and_readable_by_programs(runs: Path) -> None:
    latest = json.loads(errorbook(runs, "status", "--json").stdout)
    part = json.loads(errorbook(runs, "status", "runs/part", "--json").stdout)

    assert Path(latest["run"]).name == "good"
    assert latest["finished"] is True
    assert [item["decision"] for item in latest["decisions"]] == ["accept", "reject"]
    assert (part["finished"], part["cycle"], part["trainings"]) == (False, 1, 1)
    assert "in cycle 1 of 2" in errorbook(runs, "status", "runs/part").stdout
    assert "before the first cycle" in errorbook(runs, "status", "runs/exam").stdout


@pytest.mark.parametrize("name", ["good", "none", "part", "exam"])
@pytest.mark.parametrize("form", ["terminal", "html", "md", "json"])
def test_reports_of_any_run_in_every_form(runs: Path, name: str, form: str) -> None:
    reply = CliRunner().invoke(cli, ["report", str(runs / "runs" / name), "--format", form])

    assert reply.exit_code == 0
    assert reply.stderr == ""
    assert "synthetic" in reply.stdout or form == "terminal"
    assert "\x1b[" not in reply.stdout


def test_reports_go_to_a_file_as_a_whole(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    reply = errorbook(runs, "report", "runs/good", "--format", "html", "--output", page)
    printed = errorbook(runs, "report", "runs/good", "--format", "html").stdout

    assert (reply.returncode, reply.stdout) == (0, "")
    assert page.read_text(encoding="utf-8") == printed
    assert list(page.parent.iterdir()) == [page]


def test_json_is_one_object_on_stdout(runs: Path) -> None:
    value = json.loads(errorbook(runs, "report", "runs/good", "--json").stdout)

    assert value == json.loads(errorbook(runs, "report", "runs/good", "--format", "json").stdout)
    assert value["tasks"]["sums"]["test"]["final"]["n"] == 50


def test_a_reader_that_stops_reading_is_no_error(runs: Path) -> None:
    command = f"'{PROGRAM}' report runs/good --format html | head -c 10"
    reply = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], check=False, cwd=runs, capture_output=True, text=True, timeout=60
    )

    assert reply.stderr == ""
    assert reply.returncode == 0


def test_an_output_that_cannot_be_written_is_one_sentence(runs: Path) -> None:
    assert "/proc" in complaint(errorbook(runs, "report", "runs/good", "--output", "/proc/none/report.html"))


def test_a_full_disk_is_one_sentence(runs: Path) -> None:
    command = f"'{PROGRAM}' report runs/good > /dev/full"
    reply = subprocess.run(["bash", "-c", command], check=False, cwd=runs, capture_output=True, text=True, timeout=60)

    assert reply.returncode == 2
    assert "the disk is full" in reply.stderr
    assert "Traceback" not in reply.stderr


def write_run_file(folder: Path, target: str = "") -> Path:
    file = folder / "run.toml"
    file.write_text(RUN_FILE.format(target=target))
    return file


def test_a_run_ends_with_a_report_and_is_not_repeated(tmp_path: Path) -> None:
    write_run_file(tmp_path)

    first = errorbook(tmp_path, "run", "run.toml", "--json")
    again = errorbook(tmp_path, "run", "run.toml", "--json")
    value = json.loads(first.stdout)

    assert first.returncode == again.returncode == (0 if value["cycles"][0]["decision"] == "accept" else 1)
    assert value["tasks"] == json.loads(again.stdout)["tasks"]
    assert value["seconds"] == json.loads(again.stdout)["seconds"]
    assert (tmp_path / "runs" / "small" / "report.html").is_file()
    assert "evaluate arithmetic train" in first.stderr
    assert "evaluate" not in again.stderr


def test_a_run_tells_what_to_do_next(tmp_path: Path) -> None:
    write_run_file(tmp_path)
    reply = errorbook(tmp_path, "run", "run.toml", "--out", "book")

    assert reply.returncode in {0, 1}
    assert "book/report.html" in reply.stdout
    assert "errorbook ui book" in reply.stdout


def test_an_exam_trains_nothing(tmp_path: Path) -> None:
    write_run_file(tmp_path)
    reply = errorbook(tmp_path, "exam", "run.toml", "--json")
    value = json.loads(reply.stdout)

    assert reply.returncode == 0
    assert value["cycles"] == []
    assert value["tasks"]["arithmetic"]["dev"]["base"]["n"] == 26
    assert value["tasks"]["arithmetic"]["dev"]["final"] is None


def test_ctrl_c_stops_and_the_same_command_goes_on(tmp_path: Path) -> None:
    file = write_run_file(tmp_path, target="delay = 0.05")
    arguments = ("run", file.name, "--out", "book", "--json")
    running = subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "book" / "ledger.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert "stopped; the same command goes on" in said
    assert "Traceback" not in said
    assert errorbook(tmp_path, *arguments).returncode in {0, 1}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("StageError('The stage got another response than it asked for.')", 2),
        ("ModelError('The model is not there.')", 2),
        ("RuntimeError('nobody thought of this')", 70),
        ("MemoryError()", 70),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
def test_nothing_that_breaks_looks_like_no_better_model(error: str, code: int, debug: tuple[str, ...]) -> None:
    """Exit code 1 means that a run was done and no model was better; a script must be able to rely on it."""
    program = f"""
import click, sys
from errorbook.cli import main
from errorbook.errors import ModelError, StageError

@click.command()
def status():
    raise {error}

main.cli.add_command(status)
main.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *debug, "status"], capture_output=True, text=True, check=False
    )

    assert done.returncode == code
    assert ("Traceback" in done.stderr) == (code == 70 or bool(debug))
