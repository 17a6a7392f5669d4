"""A run lives: it moves, gets another instructor, more money or more cycles, and all of it is recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loop_kit import RUN_FILE, config
from msgspec.structs import replace

from errorbook.cli.main import run_command
from errorbook.config import Config, load, parse
from errorbook.errors import ConfigError, LedgerError
from errorbook.ledger.file import open_ledger
from errorbook.ledger.run_view import find_rule, list_changes, read_config
from errorbook.loop import exam, run
from errorbook.records import Comparison, Decision, Rule
from errorbook.render import words
from errorbook.report.build import build
from errorbook.setup.claim import claim, identify

TABLE = """
[run]
name = "table"
cycles = 1
[target]
engine = "scripted"
accuracy = 0.3
[[tasks]]
name = "sums"
kind = "jsonl"
path = "data/sums.jsonl"
train = 20
dev = 20
test = 20
[strategy]
retriever = "scripted"
[train]
method = "scripted"
[instructor]
kind = "scripted"
"""


def changed(**run_section: object) -> Config:
    base = config()
    return replace(base, run=replace(base.run, **run_section))


def digest(folder: Path) -> str:
    with open_ledger(folder) as ledger:
        return ledger.digest()


def test_a_key_that_a_ledger_does_not_have_means_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an older version left it: a run file with every key of its time, and without those that came later."""

    def dump(of: Config) -> str:
        old = msgspec.to_builtins(of)
        del old["gate"]["noise_floor"], old["compute"]["processes"], old["tasks"][0]["stop"]
        return json.dumps(old)

    with monkeypatch.context() as older:
        older.setattr("errorbook.ledger.run_view.dump", dump)
        exam(config(), tmp_path)

    run(parse(RUN_FILE + "\n[gate]\nnoise_floor = true\n[compute]\nprocesses = 1\n"), tmp_path)

    with open_ledger(tmp_path) as ledger:
        assert list_changes(ledger) == ()


def test_an_option_that_says_what_the_default_says_is_no_other_run() -> None:
    explicit = parse(RUN_FILE.replace("gain = 0.25", "gain = 0.25\ndelay = 0.0"))

    assert explicit != config()
    assert identify(explicit) == identify(config())


def test_what_makes_a_run_may_not_change_once_something_was_seen(tmp_path: Path) -> None:
    exam(config(), tmp_path)

    for other in (config(accuracy="0.5"), config(train="26"), config(seed="6"), config(margin="0.2")):
        with pytest.raises(LedgerError, match=r"belongs to another run file|changed since the ledger"):
            run(other, tmp_path)


def test_a_ledger_without_any_result_takes_a_mended_run_file(tmp_path: Path) -> None:
    exam(config(), tmp_path)
    with open_ledger(tmp_path, "write") as ledger, ledger.connection as connection:
        connection.execute("DELETE FROM bodies")
        connection.execute("DELETE FROM responses")

    run(config(accuracy="0.5"), tmp_path)

    run(config(accuracy="0.5"), tmp_path / "fresh")
    assert digest(tmp_path) == digest(tmp_path / "fresh")


def test_name_instructor_budget_and_compute_may_change_and_the_report_says_so(tmp_path: Path) -> None:
    exam(config(), tmp_path)
    other = changed(name="renamed", budget_usd=5.0)
    other = replace(
        other,
        instructor=replace(other.instructor, kind="scripted", options={"cost_usd": 0.01}),
        compute=replace(other.compute, cache=False),
    )
    run(other, tmp_path)

    with open_ledger(tmp_path) as ledger:
        keys = [item.key for item in list_changes(ledger)]
        assert keys == ["compute.cache", "instructor.kind", "instructor.options.cost_usd", "run.name", "run.budget_usd"]
        assert read_config(ledger).run.name == "renamed"
        report = build(ledger)
    assert report.name == "renamed"
    assert "from cycle 1 on instructor.kind is scripted instead of tutor" in words.changes_text(report)
    run(other, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert len(list_changes(ledger)) == len(keys)


def test_what_looks_like_a_key_is_not_shown_as_a_change(tmp_path: Path) -> None:
    base = config()
    with open_ledger(tmp_path, "write") as ledger:
        claim(ledger, replace(base, instructor=replace(base.instructor, options={"api_key": "old"})))
        claim(ledger, replace(base, instructor=replace(base.instructor, options={"api_key": "new"})))
        (told,) = list_changes(ledger)
    assert (told.before, told.after) == ("…", "…")


def levels(folder: Path) -> list[float]:
    """The level of each look at dev, in order."""
    with open_ledger(folder) as ledger:
        rules = list(ledger.all(Rule))
        return [
            next(rule.alpha_each for rule in reversed(rules) if rule.first_cycle <= decision.cycle)
            for decision in ledger.all(Decision)
            if decision.comparisons
        ]


def test_added_cycles_share_what_is_left_of_alpha(tmp_path: Path) -> None:
    run(changed(cycles=4), tmp_path / "four")
    with pytest.raises(KeyboardInterrupt):
        run(changed(cycles=4), tmp_path / "more", stop_in_cycle(2))
    run(changed(cycles=6), tmp_path / "more")

    told = levels(tmp_path / "more")
    assert told[0] == levels(tmp_path / "four")[0] == pytest.approx(0.05 / 4)
    assert told[1:] == pytest.approx([(0.05 - 0.05 / 4) / 5] * (len(told) - 1))
    assert sum(told) <= 0.05 + 1e-12
    with open_ledger(tmp_path / "more") as ledger:
        assert [item.key for item in list_changes(ledger)] == ["run.cycles"]


def stop_in_cycle(cycle: int):  # type: ignore[no-untyped-def]
    def watch(event: object) -> None:
        if getattr(event, "cycle", 0) == cycle:
            raise KeyboardInterrupt

    return watch


def test_a_run_that_has_spent_its_alpha_gets_no_more_looks_unless_it_is_told(tmp_path: Path) -> None:
    run(config(), tmp_path)
    with pytest.raises(LedgerError, match=r"have used up gate.alpha = 0.05; .* raise it as well"):
        run(changed(cycles=3), tmp_path)
    more = changed(cycles=3)
    with pytest.raises(LedgerError, match=r"can only be raised, together with run\.cycles"):
        run(replace(config(), gate=replace(config().gate, alpha=0.1)), tmp_path)
    run(replace(more, gate=replace(more.gate, alpha=0.1)), tmp_path)

    with open_ledger(tmp_path) as ledger:
        rule = find_rule(ledger)
        assert rule is not None
        assert (rule.spent, rule.alpha_each, rule.first_cycle) == pytest.approx((0.05, 0.05, 3))
        assert [item.key for item in list_changes(ledger)] == ["gate.alpha", "run.cycles"]
        report = build(ledger)
        assert report.finished
        final = list(ledger.all(Decision))[-1].checkpoint
        assert {item.task for item in ledger.all(Comparison, parent=final)} == set(report.tasks)
    with pytest.raises(ConfigError, match="3 cycles are decided"):
        run(changed(cycles=2), tmp_path)


def write_table(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    rows = [{"question": f"What is {n} + {n + 3}?", "answer": str(2 * n + 3)} for n in range(80)]
    (folder / "data" / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "run.toml").write_text(TABLE, encoding="utf-8")
    return folder / "run.toml"


def test_a_run_moves_with_its_data_and_goes_on_by_its_folder_alone(tmp_path: Path) -> None:
    file = write_table(tmp_path / "old")
    exam(load(file), tmp_path / "old" / "runs" / "table", run_file=file.read_text())
    shutil.copytree(tmp_path / "old", tmp_path / "undisturbed")
    run(load(tmp_path / "undisturbed" / "run.toml"), tmp_path / "undisturbed" / "runs" / "table")
    shutil.move(tmp_path / "old", tmp_path / "new")
    (tmp_path / "new" / "runs" / "table").rename(tmp_path / "new" / "runs" / "other")

    assert run_command(["run", str(tmp_path / "new" / "runs" / "other")]) in {0, 1}

    assert digest(tmp_path / "new" / "runs" / "other") == digest(tmp_path / "undisturbed" / "runs" / "table")
    again = ["run", str(tmp_path / "new" / "run.toml"), "--out", str(tmp_path / "new" / "runs" / "other")]
    assert run_command(again) in {0, 1}


def test_other_data_at_the_old_place_are_other_data(tmp_path: Path) -> None:
    file = write_table(tmp_path)
    exam(load(file), tmp_path / "run")
    data = tmp_path / "data" / "sums.jsonl"
    data.write_text(data.read_text().replace("What is", "How much is"), encoding="utf-8")

    with pytest.raises(LedgerError, match="changed since the ledger"):
        run(load(file), tmp_path / "run")


def recorded(folder: Path) -> list[list[tuple[Any, ...]]]:
    """Everything that the ledger holds."""
    with open_ledger(folder) as ledger:
        return [list(map(tuple, ledger.connection.execute(f"SELECT * FROM {name}"))) for name in ("records", "facts")]


def add_to_data(folder: Path) -> None:
    with (folder / "data" / "sums.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(f'\n{{"question": "What is {n} * 3?", "answer": "{3 * n}"}}' for n in range(90))


def add_benchmark(folder: Path) -> None:
    (folder / "held" / "gsm8k").mkdir(parents=True)
    row = {"question": "Ann has 3 pears and buys 3.", "answer": "2 * 3\n#### 6"}
    (folder / "held" / "gsm8k" / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")


@pytest.mark.parametrize("disturb", [add_to_data, add_benchmark, "kill"])
def test_a_refused_start_leaves_the_ledger_as_it_was(
    disturb: Callable[[Path], None] | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRORBOOK_DATA", str(tmp_path / "held"))
    begun = load(write_table(tmp_path))
    more = replace(begun, run=replace(begun.run, name="longer", cycles=3, budget_usd=7.5))
    run(replace(begun, gate=replace(begun.gate, alpha=0.01)), tmp_path / "run")
    more, before = replace(more, gate=replace(more.gate, alpha=0.04)), recorded(tmp_path / "run")

    kept = (tmp_path / "data" / "sums.jsonl").read_bytes()
    with monkeypatch.context() as disturbed:
        if isinstance(disturb, str):
            disturbed.setattr("errorbook.setup.session.note_place", stop)
        else:
            disturb(tmp_path)
        with pytest.raises((LedgerError, KeyboardInterrupt)):
            run(more, tmp_path / "run")

    assert recorded(tmp_path / "run") == before
    (tmp_path / "data" / "sums.jsonl").write_bytes(kept)
    shutil.rmtree(tmp_path / "held", ignore_errors=True)
    run(more, tmp_path / "run")
    with open_ledger(tmp_path / "run") as ledger:
        assert [item.key for item in list_changes(ledger)] == ["gate.alpha", "run.cycles", "run.name", "run.budget_usd"]
        assert ledger.count(Rule) == 2


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", str(tmp_path)]) == 2
    assert "There is no ledger at" in capsys.readouterr().err
