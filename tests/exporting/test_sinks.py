"""Sinks are told what the ledger says, step by step, once each; one that fails costs a sentence and nothing else."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import EXAMPLES
from synthetic_run import Scribe, write_exam, write_run

from errorbook import plugins
from errorbook.cli.main import run_command
from errorbook.config import parse
from errorbook.errors import ConfigError, PluginError, UserError
from errorbook.exporting.trackers.feeding import MEMORY, Feed, NamedSink, feed_sinks
from errorbook.exporting.trackers.jsonl import FILE, JsonlSink
from errorbook.exporting.trackers.mlflow import MlflowSink
from errorbook.exporting.trackers.points import TrackedPoint, list_points, summarise
from errorbook.ledger.events import Event, quiet
from errorbook.ledger.file import open_ledger
from errorbook.records import Decision, Rejection, Sample, Training
from errorbook.report.build import build

JSONL = NamedSink("jsonl", {})


def nothing(sentence: str) -> None:
    """Say nothing."""


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def steps(path: Path) -> list[int]:
    return [row["step"] for row in told(path) if "step" in row]


# What is told -----------------------------------------------------------------------------------------------------


def test_what_was_told_of_a_run_stays_true_as_it_goes_on(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        seen: list[TrackedPoint] = []
        for _ in Scribe(ledger).steps():
            now = list(list_points(ledger))
            assert now[: len(seen)] == seen
            seen = now

    assert [point.step for point in seen] == list(range(len(seen)))


def test_the_points_are_the_decisions_numbers(tmp_path: Path) -> None:
    with open_ledger(write_run(tmp_path)) as ledger:
        found = list(list_points(ledger))
        decisions = list(ledger.all(Decision))
        losses = [loss for training in ledger.all(Training) for loss in training.losses]
        samples = [ledger.count(Sample, cycle) for cycle in (1, 2)]
        rejected = [ledger.count(Rejection, cycle) for cycle in (1, 2)]
        spent = ledger.total_cost()

    decided = [point.metrics for point in found if "gate/accepted" in point.metrics]
    assert [metrics["gate/accepted"] for metrics in decided] == [1.0, 0.0]
    assert [metrics["supply/samples"] for metrics in decided] == samples
    assert [metrics["supply/rejected"] for metrics in decided] == rejected
    assert [point.metrics["train/loss"] for point in found if "train/loss" in point.metrics] == losses
    assert decided[-1]["cost/usd"] == pytest.approx(spent)
    first, second = (decision.comparisons[0] for decision in decisions)
    kept = [point.metrics["dev/sums/accuracy"] for point in found if "dev/sums/accuracy" in point.metrics]
    assert kept == [first.right_before / first.n, first.right_after / first.n, second.right_before / second.n]
    assert decided[0]["candidate/sums/p"] == first.p_value
    assert (decided[1]["candidate/sums/fixed"], decided[1]["candidate/sums/broken"]) == (second.fixed, second.broken)


def test_the_summary_is_the_reports(tmp_path: Path) -> None:
    with open_ledger(write_run(tmp_path)) as ledger:
        report = build(ledger)
    test = report.tasks["sums"]["test"]
    assert test.final is not None
    assert test.difference is not None

    found = summarise(report)

    assert found["test/sums/accuracy"] == test.final.accuracy
    assert found["test/sums/difference_low"] == test.difference.low
    assert found["accepted_cycles"] == 1


def test_a_run_without_a_gain_or_without_a_cycle_has_no_final_numbers(tmp_path: Path) -> None:
    with open_ledger(write_run(tmp_path / "none", accept=False)) as ledger:
        assert "test/sums/accuracy" not in summarise(build(ledger))
        assert summarise(build(ledger))["test/sums/base_accuracy"] > 0
    with open_ledger(write_exam(tmp_path / "exam")) as ledger:
        assert list(list_points(ledger)) == []


# How it is told ---------------------------------------------------------------------------------------------------


def live(folder: Path, named: list[NamedSink], stop_after: int | None = None) -> list[str]:
    """Write a run while sinks listen, as the loop would have it watched; return what was said to the user."""
    said: list[str] = []
    with (
        feed_sinks(named, folder, quiet, said.append) as watch,
        open_ledger(folder / "ledger.sqlite", "write") as ledger,
    ):
        for number, _ in enumerate(Scribe(ledger).steps(), 1):
            watch(Event("verify", 1, 0, 1))
            if number == stop_after:
                raise KeyboardInterrupt
            watch(Event("verify", 1, 1, 1))
    return said


def test_a_sink_is_told_after_each_decision_and_at_the_end(tmp_path: Path) -> None:
    assert live(tmp_path, [JSONL]) == []

    with open_ledger(tmp_path) as ledger:
        expected = [{"step": point.step, **point.metrics} for point in list_points(ledger)]
        assert told(tmp_path / FILE) == [*expected, {"summary": summarise(build(ledger))}]


@settings(deadline=None, max_examples=8)
@given(stop=st.integers(1, 18))
def test_a_run_that_was_stopped_tells_each_step_once(tmp_path_factory: pytest.TempPathFactory, stop: int) -> None:
    folder = tmp_path_factory.mktemp("stopped")
    try:
        live(folder, [JSONL], stop_after=stop)
    except KeyboardInterrupt:
        live(folder, [JSONL])

    with open_ledger(folder) as ledger:
        assert steps(folder / FILE) == [point.step for point in list_points(ledger)]


def test_a_line_that_was_cut_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / FILE
    first = JsonlSink(str(tmp_path))
    first.write({"loss": 1.0}, 0)
    first.write({"loss": 2.0}, 1)
    path.write_text(path.read_text(encoding="utf-8")[:-5], encoding="utf-8")

    again = JsonlSink(str(tmp_path))
    for step, loss in enumerate((1.0, 2.0, 3.0)):
        again.write({"loss": loss}, step)
    again.finish({"end": 1.0})
    again.finish({"end": 1.0})

    assert told(path) == [*({"step": step, "loss": step + 1.0} for step in range(3)), {"summary": {"end": 1.0}}]


FLAKY = """
class Flaky:
    calls = 0
    def __init__(self, folder="."):
        from errorbook.exporting.trackers.jsonl import JsonlSink
        self.inner = JsonlSink(folder)
    def write(self, metrics, step):
        Flaky.calls += 1
        if Flaky.calls in (4, 5):
            raise ConnectionError("no route to the tracker")
        self.inner.write(metrics, step)
    def finish(self, summary):
        self.inner.finish(summary)
"""


def test_a_sink_that_fails_stops_nothing_and_is_told_the_rest_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    (package / "flaky-1.dist-info").mkdir(parents=True)
    (package / "flaky_sink.py").write_text(FLAKY)
    (package / "flaky-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: flaky\nVersion: 1\n")
    (package / "flaky-1.dist-info" / "entry_points.txt").write_text("[errorbook.sinks]\nflaky = flaky_sink:Flaky\n")
    monkeypatch.syspath_prepend(str(package))

    said = live(tmp_path / "run", [NamedSink("flaky", {})])

    assert len(said) == 1
    assert "ConnectionError: no route to the tracker" in said[0]
    assert "--to flaky" in said[0]
    with open_ledger(tmp_path / "run") as ledger:
        assert steps(tmp_path / "run" / FILE) == [point.step for point in list_points(ledger)]
        assert ledger.count(Decision) == 2


def test_a_sink_that_cannot_be_opened_says_so_when_the_run_begins(tmp_path: Path) -> None:
    said: list[str] = []
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        next(Scribe(ledger).steps())
    with feed_sinks([NamedSink("nowhere", {})], tmp_path, quiet, said.append) as watch:
        watch(Event("evaluate", 1, 0, 1, "sums", "train"))

        assert len(said) == 1


def test_without_sinks_nothing_is_written(tmp_path: Path) -> None:
    with feed_sinks([], tmp_path, quiet, nothing) as watch:
        assert watch is quiet

    assert list(tmp_path.iterdir()) == []


def test_two_destinations_of_one_kind_are_remembered_apart(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for name in ("one", "two"):
        with open_ledger(run) as ledger:
            Feed(run, [NamedSink("jsonl", {"path": str(tmp_path / name)})]).tell(ledger)

    assert told(tmp_path / "one") == told(tmp_path / "two")
    assert len(json.loads((run / MEMORY).read_text())["steps"]) == 2


@pytest.mark.parametrize("kind", ["wandb", "mlflow", "trackio"])
def test_a_sink_whose_library_is_missing_says_how_to_get_it(kind: str) -> None:
    if find_spec(kind) is not None:
        pytest.skip(f"{kind} is installed")

    with pytest.raises(PluginError, match=rf"pip install 'errorbook\[{kind}\]'"):
        plugins.create("sinks", kind)


# In the run file and on the command line --------------------------------------------------------------------------

RUN_FILE = '[run]\nname = "x"\n\n[[tasks]]\nname = "arithmetic"\n'


def test_a_run_file_names_sinks_with_their_options() -> None:
    config = parse(f'{RUN_FILE}\n[[sinks]]\nkind = "wandb"\nproject = "books"\nmode = "offline"\n')

    assert [(sink.kind, sink.options) for sink in config.sinks] == [("wandb", {"project": "books", "mode": "offline"})]


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ('[[sinks]]\nkind = "wandbb"', "There is no sink called 'wandbb'.*'wandb'"),
        ('[[sinks]]\nkind = "wandb"\nprojekt = "x"', "did you mean 'project'"),
        ('[[sinks]]\nkind = "wandb"\nmode = "loud"', "has a wrong value"),
        ('[sinks]\nkind = "wandb"', r"written as \[\[sinks\]\]"),
    ],
)
def test_a_mistake_in_a_sink_is_told_before_the_run(block: str, says: str) -> None:
    with pytest.raises((ConfigError, PluginError), match=says):
        parse(f"{RUN_FILE}\n{block}\n")


@pytest.mark.slow
def test_a_run_may_be_gone_on_with_under_other_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (EXAMPLES / "scripted.toml").read_text(encoding="utf-8")
    (tmp_path / "run.toml").write_text(f'{text}\n[[sinks]]\nkind = "jsonl"\n', encoding="utf-8")
    assert run_command(["run", "run.toml", "--out", "run"]) in {0, 1}
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")

    assert run_command(["run", "run.toml", "--out", "run"]) in {0, 1}

    with open_ledger(tmp_path / "run") as ledger:
        assert steps(tmp_path / "run" / FILE) == [point.step for point in list_points(ledger)]


def test_a_finished_run_is_told_to_a_sink_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")
    command = ["export", str(run), "--to", "jsonl", "--option", f"path={tmp_path / 'metrics'}"]

    assert run_command(command) == 0
    assert run_command(command) == 0

    with open_ledger(run) as ledger:
        expected = [point.step for point in list_points(ledger)]
    assert steps(tmp_path / "metrics") == expected
    assert f"Told jsonl of {len(expected)} steps." in capsys.readouterr().err


def test_a_sink_that_fails_by_hand_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")

    assert run_command(["export", str(run), "--to", "nowhere"]) == 2
    assert "There is no sink called 'nowhere'" in capsys.readouterr().err
    assert run_command(["export", str(run), "--to", "jsonl", "--option", f"path={run}"]) == 2
    assert "is a folder; name a file in it." in capsys.readouterr().err


# Where it may write -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ledger.sqlite", "questions.jsonl", "notes.txt", "checkpoints/a.jsonl", "a/b/c"])
def test_a_sink_writes_only_to_what_it_made(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_run(run)
    (run / "questions.jsonl").write_text('{"question": "1 + 1?", "step": 1}\n')
    (run / "notes.txt").write_text("mine, without a line break")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "sqlite-" not in path.name}

    assert run_command(["export", str(run), "--to", "jsonl", "--option", f"path={run / name}"]) == 2

    said = capsys.readouterr().err
    assert said.count("errorbook: ") == 1
    assert not any(word in said for word in ("[[sinks]]", "lost", "failed"))
    assert {path: path.read_bytes() for path in before} == before
    assert not (run / "a").exists()


def test_a_sink_goes_on_in_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"step": 0, "gain": 0.5}\n{"summary": {"n": 1}}\n{"step": 1, "ga')
    JsonlSink(path=str(tmp_path / "mine.jsonl")).write({"gain": 1.0}, 2)

    assert steps(tmp_path / "mine.jsonl") == [0, 2]


@pytest.mark.parametrize("form", ["sqlite:///{}/ledger.sqlite", "{}/checkpoints/store"])
def test_a_store_is_never_made_in_what_a_run_keeps(form: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    with pytest.raises(UserError, match="write to another place"):
        MlflowSink(uri=form.format(tmp_path))
