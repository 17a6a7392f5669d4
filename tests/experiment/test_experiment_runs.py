"""Whole experiments with the scripted parts: every candidate is examined once, and a kill changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from experiment_kit import EXPERIMENT, RUN_FILE, write_files
from msgspec.structs import replace
from teacher_kit import teacher

from errorbook import open_ledger
from errorbook.cli.main import run_command
from errorbook.errors import ConfigError, UserError
from errorbook.experiment.file import load
from errorbook.experiment.page import is_page
from errorbook.experiment.results import Cost, Results, RunResult, read_results
from errorbook.experiment.runner import run_experiment
from errorbook.ledger.events import Event, Watch
from errorbook.ledger.file import Ledger
from errorbook.records import Checkpoint, Decision, Evaluation, Sample
from errorbook.report.build import build
from errorbook.report.compare_runs import compare, parse_side
from errorbook.testing import server

DEAF = 'instructor = {kind = "openai", model = "m", base_url = "http://127.0.0.1:9/v1", patience = 0.1}\n'
"""Nobody listens there."""
PROGRAM = str(Path(sys.executable).parent / "errorbook")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experiment")


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return run_experiment(load(write_files(folder)), folder / "out")


def without_times(results: Results) -> Results:
    return replace(results, runs=tuple(replace(run, cost=replace(run.cost, minutes=0.0)) for run in results.runs))


def run_of(results: Results, arm: str, seed: int) -> RunResult:
    return next(run for run in results.runs if (run.arm, run.seed) == (arm, seed))


def list_test(ledger: Ledger) -> list[Evaluation]:
    return [item for item in ledger.all(Evaluation) if item.split == "test"]


def test_every_arm_and_seed_is_there_and_the_base_comes_first(results: Results) -> None:
    wanted = [(arm, seed) for seed in (1, 2) for arm in ("base", "undirected", "twice")]

    assert [(run.arm, run.seed) for run in results.runs] == wanted
    assert results.missing == 0
    assert results.control == "undirected"


def test_every_candidate_is_examined_once_whatever_the_gate_said(results: Results, folder: Path) -> None:
    for seed in (1, 2):
        with open_ledger(folder / "out" / f"twice-{seed}") as ledger:
            asked = [(item.checkpoint, item.task.partition(":")[0]) for item in list_test(ledger)]
            candidates = [item.hash for item in ledger.all(Checkpoint)]

        assert len(candidates) == 3  # the base, and one for each scale
        assert sorted(asked) == sorted((hash, task) for hash in candidates for task in ("arithmetic", "retention"))
        assert [len(item.verdicts["arithmetic"]) for item in run_of(results, "twice", seed).examined] == [26, 26, 26]


def test_an_examination_is_never_taken_for_the_final_exam(results: Results, folder: Path) -> None:
    run = run_of(results, "twice", 1)
    with open_ledger(folder / "out" / "twice-1") as ledger:
        [decision] = ledger.all(Decision)
        own = {item.checkpoint for item in list_test(ledger) if ":" not in item.task}
        base = next(iter(ledger.all(Checkpoint))).hash
        made = build(ledger)

    assert own == {base, decision.checkpoint}
    assert {point.checkpoint for line in made.by_cycle if line.split == "test" for point in line.points} <= own
    assert sum(item.outcome == "beside" for item in run.examined) == 1


def test_the_gates_word_stands_beside_what_was_trained(results: Results) -> None:
    for run in results.runs:
        trained = [item for item in run.examined if item.cycle]
        if run.arm == "base":
            assert (len(run.examined), run.outcome, run.kept) == (1, 0, 0)
            assert run.cost == Cost(minutes=run.cost.minutes)
        else:
            judged = run.examined[run.outcome]
            assert judged in trained
            assert run.kept == (run.outcome if judged.outcome == "accept" else 0)
            assert run.cost.samples == (10,)


def test_arms_of_a_seed_answer_the_same_questions_from_the_same_base(results: Results) -> None:
    for seed in (1, 2):
        first = [run_of(results, arm, seed).examined[0] for arm in ("base", "undirected", "twice")]
        assert len({item.checkpoint for item in first}) == 1
        assert first[0].verdicts == first[1].verdicts == first[2].verdicts
    assert {len(item.ids) for item in results.questions if item.task == "arithmetic"} == {26}


def test_a_run_of_an_experiment_is_an_ordinary_run(
    folder: Path, results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (parse_side(str(folder / "out" / f"{arm}-1")) for arm in ("undirected", "twice"))

    assert {row.split for row in compare(a, b).tasks} >= {"train", "test"}
    assert run_command(["status", a.folder]) == 0
    assert "goes on with" not in capsys.readouterr().out
    assert run_command(["status", str(folder / "out" / "base-1")]) == 0
    assert "an exam of the base model" in capsys.readouterr().out


def test_the_same_command_changes_nothing_and_asks_nothing(folder: Path, results: Results) -> None:
    def forbid(_cycles: int) -> None:
        pytest.fail("a finished run was begun again")

    again = run_experiment(load(folder / "trial.toml"), folder / "out", show=forbid)  # type: ignore[arg-type]

    assert again == results == read_results(folder / "out" / "results.json")


def test_the_command_prints_tables_or_numbers_and_writes_the_files(
    folder: Path, results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["experiment", str(folder / "trial.toml"), "--out", str(folder / "out")]
    committed = tmp_path / "kept.json"

    assert run_command([*asked, "--results", str(committed)]) == 0
    said = capsys.readouterr().out
    assert "Gain on test, in points" in said
    assert "retention, a guard" in said
    assert read_results(committed) == results
    assert is_page((folder / "out" / "results.md").read_bytes())

    assert run_command([*asked, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [arm["arm"] for arm in made["arms"]] == ["base", "undirected", "twice"]

    assert run_command([*asked, "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 6


def test_the_command_writes_over_nothing_of_yours(folder: Path, results: Results, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text('{"a": 1}')
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.md").write_text("# My results\n")
    trial = str(folder / "trial.toml")

    assert run_command(["experiment", trial, "--out", str(folder / "out"), "--results", str(mine)]) == 2
    assert run_command(["experiment", trial, "--out", str(folder / "out"), "--results", trial]) == 2
    assert run_command(["experiment", trial, "--out", str(out)]) == 2
    assert mine.read_text() == '{"a": 1}'
    assert [path.name for path in out.iterdir()] == ["results.md"]


class Killed(BaseException):
    """Not an error of ours: nothing may catch it."""


@pytest.mark.parametrize("at", [9, pytest.param(30, marks=pytest.mark.slow)])
def test_an_interrupted_experiment_ends_as_an_undisturbed_one(
    folder: Path, results: Results, tmp_path: Path, at: int
) -> None:
    seen = 0

    @contextmanager
    def interrupt(_cycles: int) -> Iterator[Watch]:
        def watch(_event: Event) -> None:
            nonlocal seen
            seen += 1
            if seen == at:
                raise Killed

        yield watch

    asked = load(folder / "trial.toml")
    with pytest.raises(Killed):
        run_experiment(asked, tmp_path / "out", show=interrupt)
    ended = run_experiment(asked, tmp_path / "out")

    assert without_times(ended) == without_times(results)


@pytest.mark.slow
def test_a_killed_experiment_goes_on(folder: Path, results: Results, tmp_path: Path) -> None:
    file = write_files(tmp_path)
    for seconds in (1.5, 2.5, 3.5):
        process = subprocess.Popen([PROGRAM, "experiment", file, "--out", tmp_path / "out"], start_new_session=True)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    reply = subprocess.run([PROGRAM, "experiment", file, "--out", tmp_path / "out"], check=False, timeout=300)

    assert reply.returncode == 0
    assert without_times(read_results(tmp_path / "out" / "results.json")) == without_times(results)


def test_a_run_that_another_process_works_on_is_left_to_it(folder: Path, tmp_path: Path) -> None:
    asked, said = load(folder / "trial.toml"), list[str]()
    (tmp_path / "out" / "base-2").mkdir(parents=True)
    (tmp_path / "out" / "base-2" / "ledger.sqlite").touch()  # as another process leaves it for a moment
    with open_ledger(tmp_path / "out" / "undirected-2" / "ledger.sqlite", "write"):
        results = run_experiment(asked, tmp_path / "out", said.append)

    assert results.missing == 1
    assert any("is left to the process" in sentence for sentence in said)


def test_an_arm_that_changed_is_another_run(folder: Path, results: Results, tmp_path: Path) -> None:
    changed = write_files(tmp_path, EXPERIMENT.replace("[1.0, 2.0]", "[1.0, 3.0]"))
    with pytest.raises(UserError, match="belongs to another run file"):
        run_experiment(load(changed), shutil.copytree(folder / "out", tmp_path / "out"))


def test_another_instructor_is_another_arm(folder: Path, results: Results, tmp_path: Path) -> None:
    changed = write_files(tmp_path, EXPERIMENT, RUN_FILE.replace('kind = "tutor"', 'kind = "scripted"'))
    with pytest.raises(ConfigError, match=r"another \[instructor\]"):
        run_experiment(load(changed), folder / "out")


@pytest.mark.slow
def test_a_run_that_stops_does_not_keep_the_others_from_being_made(tmp_path: Path) -> None:
    text = EXPERIMENT.replace("[1, 2]", "[1]") + "\n[arms.deaf]\narm = 'error'\n" + DEAF
    with pytest.raises(UserError, match=r"deaf, seed 1 .* stopped: .*patience|deaf, seed 1 .* stopped: .*127.0.0.1"):
        run_experiment(load(write_files(tmp_path, text + "[arms.gold]\n")), tmp_path / "out")

    results = read_results(tmp_path / "out" / "results.json")
    assert [run.arm for run in results.runs] == ["base", "undirected", "twice", "gold"]
    assert (tmp_path / "out" / "results.md").exists()


def test_runs_that_all_stop_are_not_gone_on_with(tmp_path: Path) -> None:
    arms = "".join(f"[arms.deaf{number}]\narm = 'error'\n{DEAF}" for number in range(5))
    text, said = EXPERIMENT.partition("[arms")[0] + arms, list[str]()
    with pytest.raises(UserError, match="3 runs stopped in all"):
        run_experiment(load(write_files(tmp_path, text)), tmp_path / "out", said.append)

    assert sum("stopped" in sentence for sentence in said) == 3


def test_an_arm_that_cannot_be_run_is_refused_before_the_others_are(tmp_path: Path) -> None:
    bad = EXPERIMENT + "\n[arms.cluster]\ninstructor.calls = 'one'\n"
    with pytest.raises(ConfigError, match=r"The arm 'cluster' cannot be run: .*calls = 'two'"):
        run_experiment(load(write_files(tmp_path, bad)), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_samples_of_two_cycles_are_those_of_one(folder: Path, tmp_path: Path) -> None:
    text = EXPERIMENT.replace("[1, 2]", "[1]") + "\n[arms.halves]\narm = 'undirected'\nrun.cycles = 2\n"
    results = run_experiment(load(write_files(tmp_path, text)), tmp_path / "out")

    assert run_of(results, "halves", 1).cost.samples == (5, 5)
    with open_ledger(tmp_path / "out" / "halves-1") as ledger:
        assert ledger.count(Sample) == 10


def test_the_base_is_asked_once_a_seed(results: Results, folder: Path) -> None:
    """An event is what was really asked: the arms have none for what was taken over."""
    for arm, asked in (("base", {"train", "dev", "test"}), ("undirected", {"train", "dev", "test"})):
        with open_ledger(folder / "out" / f"{arm}-1") as ledger:
            cycles = {event.cycle for event in ledger.events() if event.stage == "evaluate" and event.split == "train"}
            base = next(iter(ledger.all(Checkpoint))).hash
            evaluations = {item.split for item in ledger.all(Evaluation, parent=base)}
        assert evaluations == asked
        assert cycles == ({0} if arm == "base" else {2})  # the final checkpoint's alone


def test_equal_calls_of_arms_are_bought_once_and_counted_for_each(tmp_path: Path) -> None:
    text = EXPERIMENT.partition("[arms")[0].replace("[1, 2]", "[1]") + "[arms.error]\n[arms.gentle]\narm = 'error'\n"
    with server(script=teacher) as provider:
        behind = (
            f'kind = "openai"\nmodel = "m"\nbase_url = "{provider.base_url}"\nprice_input = 1.0\nprice_output = 1.0'
        )
        run_file = RUN_FILE.replace('kind = "tutor"', behind)
        file = write_files(tmp_path, text + "train.learning_rate = 1e-5\n", run_file)
        results = run_experiment(load(file), tmp_path / "out")
        asked = provider.stats()

    error, gentle = run_of(results, "error", 1), run_of(results, "gentle", 1)
    assert error.cost.usd == gentle.cost.usd > 0
    assert error.cost.calls == gentle.cost.calls > 0
    assert asked.requests == asked.unique_prompts == error.cost.calls
