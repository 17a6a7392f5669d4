"""Where a run stands at any moment: its stage, who is writing, the time and the money left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from places import KITS
from synthetic_run import CONFIG, Scribe, write_exam, write_run

from errorbook.config import dump
from errorbook.ledger.events import Event
from errorbook.ledger.file import open_ledger
from errorbook.ledger.liveness import read_pulse
from errorbook.ledger.run_view import note_budget
from errorbook.render import status_words as standing
from errorbook.report.progress import Stage, forecast_seconds_left
from errorbook.report.status import Status, find_latest_run, read_status, read_status_quickly, renew_status

STAGES = [
    ("opening", "", 0),
    ("train questions 1", "evaluate sums train", 1),
    ("train questions 1", "diagnose", 1),
    ("diagnoses and drafts 1", "write drafts", 1),
    ("verification 1", "train", 1),
    ("training 1", "evaluate sums dev", 1),
    ("dev sums 1", "evaluate chat dev", 1),
    ("dev chat 1", "evaluate chat dev", 1),
    ("decision 1", "evaluate sums train", 2),
    ("train questions 2", "evaluate sums train", 2),
    ("train questions 2", "diagnose", 2),
    ("diagnoses and drafts 2", "write drafts", 2),
    ("verification 2", "write drafts", 2),
    ("training 2", "evaluate sums dev", 2),
    ("dev sums 2", "evaluate chat dev", 2),
    ("dev chat 2", "evaluate chat dev", 2),
    ("decision 2", "evaluate sums test", 3),
    ("train questions again", "evaluate sums test", 3),
    ("test sums", "evaluate chat test", 3),
    ("test chat", "", 0),
]


def read(folder: Path) -> Status:
    with open_ledger(folder) as ledger:
        return read_status(ledger)


def named(stage: Stage | None) -> str:
    return "" if stage is None else standing.stage_name(Event(stage.name, 0, 0, 0, stage.task, stage.split))


def test_the_present_stage_is_known_after_every_step_of_a_run(tmp_path: Path) -> None:
    seen = []
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        for step in Scribe(ledger).steps():
            stage = read(tmp_path).stage
            seen.append((step, named(stage), stage.cycle if stage else 0))
            assert stage is None or 0 <= stage.done <= stage.total or not stage.total

    assert seen == STAGES


def test_a_run_is_running_while_its_ledger_is_open_for_writing_and_stopped_afterwards(tmp_path: Path) -> None:
    write_run(tmp_path, stop_after=6)

    assert read(tmp_path).state == "stopped"
    with open_ledger(tmp_path, "write"):
        assert read(tmp_path).state == "running"
    assert read(tmp_path).state == "stopped"


def test_a_killed_run_is_stopped_and_says_how_it_goes_on(tmp_path: Path) -> None:
    program = (
        "import sys, time; from synthetic_run import *\n"
        f"with open_ledger({str(tmp_path / 'ledger.sqlite')!r}, 'write') as ledger:\n"
        "    steps = Scribe(ledger).steps(); next(steps); next(steps)\n"
        "    print('ready', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(KITS)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        during = read(tmp_path)
        writer.kill()
    after = renew_status(during, tmp_path)

    assert (during.state, after.state) == ("running", "stopped")
    assert standing.doing(during).startswith("Now answering the train questions of sums, 23 of 45")
    assert standing.doing(after) == "Stopped while answering the train questions of sums, 23 of 45."
    assert standing.next_step(after) == f"It goes on with: errorbook run FILE --out {tmp_path}"


def test_looking_never_takes_the_lock_of_a_run_that_starts_at_that_moment(tmp_path: Path) -> None:
    write_run(tmp_path, stop_after=3)

    before = (tmp_path / "ledger.lock").stat().st_mtime_ns
    for _ in range(20):
        read_pulse(tmp_path)
    assert (tmp_path / "ledger.lock").stat().st_mtime_ns == before
    with FileLock(tmp_path / "ledger.lock", timeout=0):
        assert read_pulse(tmp_path).since > 0


def test_without_a_list_of_locks_a_log_that_changed_lately_is_a_sign_of_life(tmp_path: Path) -> None:
    write_run(tmp_path, stop_after=3)
    absent = tmp_path / "no-such-list"

    assert not read_pulse(tmp_path, absent).running
    with open_ledger(tmp_path, "write") as ledger:
        ledger.begin(Event("train", 1, 0, 1))
        assert read_pulse(tmp_path, absent).running
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            os.utime(tmp_path / name, (1.0, 1.0))
        assert not read_pulse(tmp_path, absent).running


def test_reading_a_run_is_no_sign_of_life_and_no_change(tmp_path: Path) -> None:
    write_run(tmp_path, stop_after=3)
    os.utime(tmp_path / "ledger.sqlite", (1000.0, 1000.0))
    read(tmp_path)

    assert read_pulse(tmp_path, tmp_path / "no-such-list") == (False, 0.0, 1000.0)


def test_a_folder_without_a_ledger_has_no_pulse(tmp_path: Path) -> None:
    assert read_pulse(tmp_path) == (False, 0.0, 0.0)


def test_an_exam_is_finished_when_every_question_is_answered(tmp_path: Path) -> None:
    whole = read(write_exam(tmp_path / "whole"))
    with open_ledger(tmp_path / "part" / "ledger.sqlite", "write") as ledger:
        scribe = Scribe(ledger)
        next(scribe.steps())
        list(scribe.examine(scribe.base, "sums", "train", 0))
        scribe.begin_evaluation("sums", "dev", 0)
    part = read(tmp_path / "part")

    assert (whole.kind, whole.state, whole.stage) == ("exam", "finished", None)
    assert part.stage is not None
    assert (part.kind, part.state, part.stage.task, part.stage.split) == ("exam", "stopped", "sums", "dev")
    assert "errorbook exam FILE" in standing.command(part)


def test_the_cap_that_was_given_last_counts_and_the_money_left_is_named(tmp_path: Path) -> None:
    def status(*caps: float | None) -> Status:
        with open_ledger(tmp_path / "run", "write") as ledger:
            for cap in caps:
                note_budget(ledger, cap)
        return read(tmp_path / "run")

    write_run(tmp_path / "run")
    assert status().budget_usd is None
    assert standing.money(status(5.0, 10.0, 10.0)) == "$7.25 of $10.00 ($2.75 left)"
    assert status(None).budget_usd is None
    assert status(10.0).budget_usd == 10.0


def test_time_left_is_said_only_where_the_past_tells_it(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        steps = Scribe(ledger).steps()
        first = [read(tmp_path) for step in steps if step == "opening" or step.startswith("train questions 1")][:2]
    assert first[0].stage_seconds_left is None
    assert first[1].stage is not None
    assert first[1].stage.expected is None  # what is said of the first stage is its own pace
    assert [item.run_seconds_left for item in first] == [None, None]

    with open_ledger(write_run(tmp_path / "second", stop_after=9) / "ledger.sqlite", "write"):
        second = read(tmp_path / "second")
    # 45 questions again, which took 12.25 seconds in cycle 1; then the rest of a cycle and the final exam
    assert second.stage_seconds_left == pytest.approx(12.25)
    assert second.run_seconds_left is not None
    assert second.run_seconds_left > 60
    assert "; about 2 minutes" not in standing.doing(second)
    assert "less than a minute left, about 2 minutes for the whole run at most" in standing.doing(second)


def test_a_glance_says_what_a_full_look_says_after_every_step(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "run" / "ledger.sqlite", "write") as ledger:
        for _ in Scribe(ledger).steps():
            with open_ledger(tmp_path / "run") as again:
                glanced = read_status_quickly(again)
            full = read(tmp_path / "run")
            for name in ("evaluations", "usd", "usd_per_sample", "stage", "cycle", "decisions", "samples"):
                assert getattr(glanced, name) == getattr(full, name), name
    with open_ledger(write_run(tmp_path / "other", stop_after=4)) as other:
        assert read_status_quickly(other).usd == 4.75


def test_a_stage_has_its_own_pace_once_the_present_writer_began_it() -> None:
    stage = Stage(name="diagnose", cycle=1, done=25, total=100, expected=900.0, since=1000.0)

    assert forecast_seconds_left(stage, now=1050.0, writer_since=990.0) == pytest.approx(150.0)
    assert forecast_seconds_left(stage, now=1050.0, writer_since=1020.0) == 900.0  # resumed: its beginning is not known
    assert forecast_seconds_left(msgspec.structs.replace(stage, done=1), now=1050.0, writer_since=990.0) == 900.0
    unknown = msgspec.structs.replace(stage, done=1, expected=None)
    assert forecast_seconds_left(unknown, 1001.0, 990.0) == pytest.approx(99.0)


@given(
    done=st.integers(0, 50),
    more=st.integers(0, 50),
    expected=st.none() | st.floats(0, 1e7),
    since=st.floats(0, 2e9),
    now=st.floats(0, 2e9),
    writer=st.floats(0, 2e9),
)
def test_time_left_is_never_negative(
    done: int, more: int, expected: float | None, since: float, now: float, writer: float
) -> None:
    stage = Stage(name="train", cycle=1, done=done, total=done + more, expected=expected, since=since)
    left = forecast_seconds_left(stage, now, writer)

    assert left is None or left >= 0
    assert left is None or standing.about(left)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "less than a minute"),
        (44, "less than a minute"),
        (50, "1 minute"),
        (300, "5 minutes"),
        (5300, "88 minutes"),
        (7300, "2 hours"),
        (400_000, "5 days"),
    ],
)
def test_forecasts_are_rounded_as_people_say_them(seconds: float, said: str) -> None:
    assert standing.about(seconds) == said


def test_a_finished_run_names_its_results_and_no_stage(tmp_path: Path) -> None:
    status = read(write_run(tmp_path))

    assert (status.state, standing.where(status), standing.doing(status)) == ("finished", "finished", "")
    assert [(task, split) for task, split, _ in standing.results(status)] == [("sums", "test"), ("chat", "test")]
    tested = {(item.task, item.checkpoint): item for item in status.evaluations if item.split == "test"}
    base, final = tested["sums", "base"], tested["sums", "final"]
    assert standing.results(status)[0][2] == f"{100 * base.right / 50:.1f}% → {100 * final.right / 50:.1f}%"


def test_the_status_command_says_what_is_going_on(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "part", stop_after=2)
    command = [sys.executable, "-m", "errorbook", "status"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    known = json.loads(subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, check=True).stdout)

    assert "Stopped while answering the train questions of sums, 23 of 45." in shown
    assert "errorbook run FILE --out" in shown
    assert (known["state"], known["stage"]["done"], known["stage"]["total"]) == ("stopped", 23, 45)


def test_the_latest_run_is_the_one_written_to_last(tmp_path: Path) -> None:
    for age, name in enumerate(("old", "new")):
        write_run(tmp_path / name, stop_after=1)
        for file in (tmp_path / name).glob("ledger.sqlite*"):
            os.utime(file, (1000 + age, 1000 + age))

    assert find_latest_run(tmp_path).name == "new"


def test_an_imported_book_has_no_stage(tmp_path: Path) -> None:
    target = msgspec.structs.replace(CONFIG.target, engine="imported")
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        ledger.state("config", dump(msgspec.structs.replace(CONFIG, target=target)))
    status = read(tmp_path)

    assert (status.kind, status.stage, status.state) == ("book", None, "finished")
    assert standing.where(status) == "a book imported from logs, before the first cycle"
