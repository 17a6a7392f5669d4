"""What `errorbook export` tells of a run: its samples with their lineage, its card, and which checkpoint is meant."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from export_kit import card, front, run
from synthetic_run import CONFIG, write_run

from errorbook.cli.main import run_command
from errorbook.config import TargetSection
from errorbook.corrections.inbox import submit
from errorbook.errors import ModelError, UserError
from errorbook.exporting.chosen import choose
from errorbook.exporting.folder import MANIFEST, Manifest, fill_folder
from errorbook.exporting.samples import SampleRow, Wanted, rows
from errorbook.ledger.file import open_ledger
from errorbook.records import (
    Checkpoint,
    Correction,
    Decision,
    Diagnosis,
    Draft,
    Rejection,
    Sample,
)
from errorbook.report.build import build

__all__ = ["run"]  # a fixture
HOSTILE = "\n---\n| <script>alert(1)</script> ![x](http://evil/x.png) ``` [a](javascript:b)"


# The samples ------------------------------------------------------------------------------------------------------


def exported(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_sample_is_told_with_the_mistake_that_it_was_written_against(run: Path, tmp_path: Path) -> None:
    assert run_command(["export", str(run), "--what", "samples", "--out", str(tmp_path / "out")]) == 0

    with open_ledger(run) as ledger:
        samples = {sample.hash: sample for sample in ledger.all(Sample)}
        told = exported(tmp_path / "out")
        assert [row["id"] for row in told] == list(samples)
        for row in told:
            sample = samples[row["id"]]
            draft = ledger.get(Draft, row["draft"])
            diagnosis = ledger.get(Diagnosis, row["diagnosis"])
            assert draft is not None
            assert diagnosis is not None
            assert (row["question"], row["answer"], row["solution"]) == (draft.question, draft.answer, draft.solution)
            assert (draft.hash, draft.diagnosis) == (sample.draft, diagnosis.hash)
            response = ledger.response(diagnosis.response)
            assert response is not None
            assert (row["example"], row["wrong_response"]) == (response.example, response.text)
            assert response.score.verdict == "wrong"


def test_rejected_drafts_come_with_their_reason_and_add_up_with_the_samples(run: Path) -> None:
    with open_ledger(run) as ledger:
        funnel = build(ledger).funnel
        found = list(rows(ledger, Wanted(include_rejected=True)))
        reasons = {item.draft: item.reason for item in ledger.all(Rejection)}

    assert len(found) == funnel.drafts - funnel.waiting
    assert {row.draft: row.reason for row in found if row.outcome == "rejected"} == reasons
    assert not any(row.prompt for row in found if row.outcome == "rejected")


def test_only_accepted_cycles_where_that_is_asked(run: Path) -> None:
    with open_ledger(run) as ledger:
        accepted = {item.cycle for item in ledger.all(Decision) if item.outcome == "accept"}
        found = list(rows(ledger, Wanted(accepted_only=True)))

    assert accepted == {1}
    assert {row.cycle for row in found} == accepted
    assert all(row.trained and row.kept for row in found)


def test_pairs_are_refused_where_nobody_can_tell_the_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")  # its task is no plugin, and nothing was trained on

    assert run_command(["export", str(run), "--what", "samples", "--format", "chat"]) == 2
    assert "There is no task called 'sums'" in capsys.readouterr().err
    assert run_command(["export", str(run), "--what", "samples"]) == 0


def test_what_people_struck_out_is_left_out_and_what_they_edited_is_theirs(run: Path) -> None:
    with open_ledger(run) as ledger:
        first, second, third = list(ledger.all(Sample))[:3]
    submit(run, Correction(subject=first.draft, kind="strike", author="kim"))
    submit(
        run, Correction(subject=second.draft, kind="edit", author="kim", question="2 + 2?", answer="4", solution="4.")
    )
    submit(run, Correction(subject=third.draft, kind="strike", author="kim"))
    submit(run, Correction(subject=third.draft, kind="restore", author="kim"))

    with open_ledger(run) as ledger:
        found = {row.draft: row for row in rows(ledger, Wanted())}

    assert first.draft not in found
    assert (found[second.draft].question, found[second.draft].corrected) == ("2 + 2?", True)
    assert (found[third.draft].question, found[third.draft].corrected) == (third.question, False)


@pytest.mark.parametrize("form", ["jsonl", "chat", "alpaca", "datasets"])
def test_equal_ledgers_give_equal_bytes(run: Path, tmp_path: Path, form: str) -> None:
    pytest.importorskip("pyarrow")
    shutil.copytree(run, tmp_path / "again" / "run")
    written = []
    for folder in (run, tmp_path / "again" / "run"):
        assert run_command(["export", str(folder), "--what", "samples", "--format", form]) == 0
        out = folder / "export" / "samples"
        written.append({path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()})

    assert written[0] == written[1]


def test_trainers_read_the_same_pairs_from_each_form(run: Path, tmp_path: Path) -> None:
    for form in ("jsonl", "chat", "alpaca"):
        command = ["export", str(run), "--what", "samples", "--format", form, "--out", str(tmp_path / form)]
        assert run_command(command) == 0

    told, talks, tasks = (exported(tmp_path / form) for form in ("jsonl", "chat", "alpaca"))

    pairs = [(row["prompt"], row["completion"]) for row in told]
    assert pairs
    assert all(prompt and completion for prompt, completion in pairs)
    assert [(talk["messages"][0]["content"], talk["messages"][1]["content"]) for talk in talks] == pairs
    assert {tuple(turn["role"] for turn in talk["messages"]) for talk in talks} == {("user", "assistant")}
    assert [(task["instruction"], task["output"]) for task in tasks] == pairs


@pytest.mark.slow
def test_a_data_set_folder_is_what_load_dataset_reads(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    assert run_command(["export", str(run), "--what", "samples", "--format", "datasets", "--out", str(out)]) == 0

    found = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))

    with open_ledger(run) as ledger:
        expected = list(rows(ledger, Wanted()))
    assert found.num_rows == len(expected)
    assert msgspec.convert({name: found[0][name] for name in SampleRow.__struct_fields__}, SampleRow) == expected[0]
    assert found[0]["messages"][1] == {"role": "assistant", "content": expected[0].completion}


# The card ---------------------------------------------------------------------------------------------------------


def test_the_card_tells_the_reports_numbers_and_the_hub_can_read_them(run: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    text = card(run)

    with open_ledger(run) as ledger:
        report = build(ledger)
    results = {item.dataset_name: item for item in hub.ModelCard(text).data.eval_results}
    assert set(results) == set(report.tasks)
    for task, splits in report.tasks.items():
        final = splits["test"].final
        assert final is not None
        assert results[task].metric_value == round(final.accuracy, 4)
        assert results[task].dataset_split == "test"
        assert f"| {final.n} |" in text
    assert front(text)["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "Cycle 1: accepted" in text


def test_the_card_of_a_run_without_a_gain_claims_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", accept=False)

    text = card(run)

    assert "**This is the base model as it came: no candidate was kept.**" in text
    assert "model-index" not in front(text)
    assert "Difference" not in text


def test_the_card_of_a_refused_candidate_says_so_first(run: Path) -> None:
    with open_ledger(run) as ledger:
        refused = next(item.candidate for item in ledger.all(Decision) if item.outcome == "reject")

    text = card(run, "--checkpoint", refused[:8])

    assert "**The gate did not keep this checkpoint, so no gain is claimed for it.**" in text.split("## ")[0]
    assert "model-index" not in front(text)


def test_the_card_of_a_run_that_goes_on_has_no_results_for_the_hub_yet(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", stop_after=9)
    with open_ledger(run) as ledger:
        assert [item.outcome for item in ledger.all(Decision)] == ["accept"]

    text = card(run)

    assert "model-index" not in front(text)
    assert "1 of 2 cycles are decided" in text


def test_the_card_of_a_script_is_of_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = msgspec.structs.replace(CONFIG, target=TargetSection(engine="scripted"))
    monkeypatch.setattr("synthetic_run.CONFIG", scripted)

    text = card(write_run(tmp_path / "run"))

    assert "is a script and no model" in text.split("## ")[0]
    assert not {"model-index", "base_model", "license"} & set(front(text))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    text = card(write_run(tmp_path / "run", hostile=HOSTILE))

    body = text.split("\n---\n", 1)[1]
    assert front(text)["library_name"] == "transformers"
    assert "script" in body
    assert not re.search(r"(?<!\\)(<script|\]\()", body)


def test_the_card_says_what_its_run_file_leaves_out(run: Path) -> None:
    text = '[run]\nname = "synthetic"  # ask Ada at 10.1.2.3\n\n[instructor]\nkind = "openai"\nbase_url = "http://gpu01:8000/v1"\n'
    with open_ledger(run, "write") as ledger:
        ledger.state("run_file", text)
    said = card(run)
    assert 'kind = "openai"\n# Left out: base_url\n' in said
    assert "Fill that in, and `errorbook run` repeats it" in said
    assert not re.search("gpu01|Ada|10\\.1", said)


@pytest.mark.parametrize(
    ("engine", "said"), [("auto", "(`auto`). Other engines"), ("openvino", "`openvino`. Other"), ("transformers", "")]
)
def test_the_card_names_the_engine_that_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, said: str
) -> None:
    monkeypatch.setattr("synthetic_run.CONFIG", msgspec.structs.replace(CONFIG, target=TargetSection(engine=engine)))
    text = card(write_run(tmp_path / "run"))
    assert said in text
    assert ("The results were measured with the engine" in text) is bool(said)


# Which checkpoint -------------------------------------------------------------------------------------------------


def test_the_final_model_is_refused_where_no_candidate_was_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", accept=False)

    assert run_command(["export", str(run), "--what", "merged"]) == 2

    assert "No candidate was kept" in capsys.readouterr().err
    assert not (run / "export").exists()


def test_a_checkpoint_is_named_by_its_first_digits(run: Path) -> None:
    with open_ledger(run) as ledger:
        for hash, checkpoint in ledger.by_hash(Checkpoint):
            assert choose(ledger, hash[:6]).checkpoint == checkpoint
        standings = [choose(ledger, hash).standing for hash, _ in ledger.by_hash(Checkpoint)]
        assert standings == ["base", "final", "refused"]
        for wrong in ("abcde", "zzzzzz", ""):
            with pytest.raises(ModelError, match="6 or more digits"):
                choose(ledger, wrong)


# The folder -------------------------------------------------------------------------------------------------------


MANIFEST_OF_A_TEST = Manifest(what="card", run="test", checkpoint="c" * 32, errorbook="0")


def put(folder: Path, name: str, *, force: bool = False) -> None:
    with fill_folder(folder, MANIFEST_OF_A_TEST, force=force) as making:
        (making / name).parent.mkdir(parents=True, exist_ok=True)
        (making / name).write_text(name, encoding="utf-8")


def test_an_export_replaces_an_earlier_one_only_when_told_to_and_touches_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    put(out, "data/first")

    with pytest.raises(UserError, match="--force"):
        put(out, "second")
    put(out, "second", force=True)

    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [MANIFEST, "mine.txt", "second"]
    with pytest.raises(UserError, match="is not of an export"):
        put(out, "mine.txt", force=True)
    assert (out / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert (out / "second").exists()


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ModelError), fill_folder(tmp_path / "out", MANIFEST_OF_A_TEST, force=False):
        raise ModelError("no")

    assert list(tmp_path.iterdir()) == []


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    forged = msgspec.structs.replace(MANIFEST_OF_A_TEST, files=("../precious",))
    (out / MANIFEST).write_bytes(msgspec.json.encode(forged))

    put(out, "new", force=True)

    assert (tmp_path / "precious").exists()


# The command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Say what to export"),
        (["--what", "card", "--to", "jsonl"], "give one"),
        (["--what", "gguf", "--format", "chat"], "--what samples"),
        (["--what", "samples", "--format", "chat", "--include-rejected"], "not for training"),
        (["--what", "card", "--public"], "--push"),
        (["--what", "all", "--push", "a/b"], "one --what a push"),
        (["--what", "card", "--push", "nobody"], "is not a name on the hub"),
        (["--what", "card", "--option", "a=1"], "is for the sink"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_written(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run_command(["export", str(run), *arguments]) == 2

    assert says in capsys.readouterr().err
    assert not (run / "export").exists()


@pytest.mark.parametrize("out", [".", "checkpoints/new", "corrections", "no/such/folder"])
def test_an_export_never_goes_among_a_runs_own_files(run: Path, out: str) -> None:
    before = {path for path in run.rglob("*") if "sqlite-" not in path.name}
    for what in ("samples", "all"):
        assert run_command(["export", str(run), "--what", what, "--out", str(run / out)]) == 2
    assert {path for path in run.rglob("*") if "sqlite-" not in path.name} == before
