"""The whole loop with the shipped fakes in place of a model: every other part is the real one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loop_kit import RUN_FILE, config
from msgspec.structs import replace

from errorbook.adapters.instructors.scripted import ScriptedInstructor
from errorbook.config import Config, load, parse
from errorbook.diagnose import diagnose, find_mistakes
from errorbook.errors import BudgetError, DataError, LedgerError, StageError
from errorbook.instruct import assign_undirected, instruct
from errorbook.ledger import keys
from errorbook.ledger.events import Event
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.loop import exam, run
from errorbook.records import (
    Assignment,
    Call,
    Checkpoint,
    Comparison,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Failure,
    Lesson,
    Marked,
    Mistake,
    Rejection,
    Response,
    Sample,
    Score,
    Training,
    Verdict,
)
from errorbook.strategies.table import Name as Strategy


def contents(folder: Path) -> str:
    with open_ledger(folder) as ledger:
        return ledger.digest()


def decisions(ledger: Ledger) -> list[str]:
    return [decision.outcome for decision in ledger.all(Decision)]


def test_two_cycles_end_with_a_better_checkpoint_and_full_books(tmp_path: Path) -> None:
    final = run(config(), tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert decisions(ledger) == ["accept", "accept"]
        assert final.method == "scripted"
        comparison = ledger.find(Comparison, "final:arithmetic:test")
        assert comparison is not None
        assert comparison.right_after > comparison.right_before
        for cycle in (1, 2):
            drafts = {draft.hash for draft in ledger.all(Draft, cycle)}
            samples = {sample.draft for sample in ledger.all(Sample, cycle)}
            rejections = {rejection.draft for rejection in ledger.all(Rejection, cycle)}
            assert samples | rejections == drafts
            assert not samples & rejections
            taught = [lesson.source for lesson in ledger.all(Lesson, cycle) if not lesson.replay]
            assert sorted(taught) == sorted(sample.hash for sample in ledger.all(Sample, cycle))


def test_preferences_are_against_the_targets_own_wrong_responses_on_train(tmp_path: Path) -> None:
    run(parse(RUN_FILE.replace('method = "scripted"', 'method = "scripted"\nobjective = "dpo"')), tmp_path)
    with open_ledger(tmp_path) as ledger:
        lessons = list(ledger.all(Lesson, 1))
        pairs = {lesson.source: lesson for lesson in lessons if lesson.rejected}
        practice = [
            item for item in ledger.all(Evaluation) if item.task == "arithmetic:practice" and item.split == "train"
        ]
        answers = {answer.example: answer for answer in ledger.responses(practice[0])}
        samples = {sample.hash for sample in ledger.all(Sample, 1)}
        wrong = {answer.hash for answer in _train_responses(ledger) if answer.score.verdict == "wrong"}
        assert pairs
        for source, lesson in pairs.items():
            if source in samples:  # a verified sample, preferred over what the target said to its question
                assert answers[source].score.verdict == "wrong"
                assert lesson.rejected == answers[source].text.strip()
            else:  # the worked solution of a train question, preferred over the mistake itself
                assert source in wrong
        assert not any(lesson.rejected for lesson in lessons if lesson.replay)
        assert practice[0].n == len(answers) == len(samples)


def test_a_response_that_the_data_accept_is_never_the_worse_one_of_a_pair(tmp_path: Path) -> None:
    lines = [
        {"q": f"Which port has number {n}?", "a": "Danzig", "also": ["Gdansk"], "why": "It lies on the Baltic."}
        for n in range(80)
    ]
    (tmp_path / "ports.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = ", ".join(f'"{line["q"]}" = "Gdansk"' for line in lines)
    made = parse(
        f"""
[run]
name = "ports"
cycles = 1
[target]
engine = "scripted"
accuracy = 0.5
answers = {{ {said} }}
[[tasks]]
name = "ports"
kind = "jsonl"
path = "{tmp_path}/ports.jsonl"
question = "q"
answer = "a"
accepted = "also"
solution = "why"
scorer = "exact"
train = 40
dev = 20
test = 20
[strategy]
name = "gold"
[train]
method = "scripted"
objective = "dpo"
"""
    )

    run(made, tmp_path / "run")

    with open_ledger(tmp_path / "run") as ledger:
        lessons = [lesson for lesson in ledger.all(Lesson, 1) if not lesson.replay]
        assert {"Danzig", "Gdansk"} <= {word for item in ledger.all(Sample) for word in (item.answer, *item.accepted)}
        assert {lesson.rejected for lesson in lessons} == {"", "Answer: not Gdansk"}


@pytest.mark.parametrize("context", ["own", "unrelated"])
def test_a_target_that_learns_from_itself_is_asked_its_mistakes_and_the_samples(tmp_path: Path, context: str) -> None:
    wanted = f'method = "scripted"\nobjective = "self_distill"\ncontext = "{context}"'
    run(parse(RUN_FILE.replace('method = "scripted"', wanted)), tmp_path)
    with open_ledger(tmp_path) as ledger:
        lessons = list(ledger.all(Lesson, 1))
        samples = {sample.hash: sample for sample in ledger.all(Sample, 1)}
        mistakes = {answer.hash for answer in _train_responses(ledger) if answer.score.verdict != "right"}
        diagnoses = list(ledger.all(Diagnosis, 1))
        taught = [lesson for lesson in lessons if not lesson.replay]
        assert {lesson.source for lesson in taught} == set(samples) | mistakes
        assert all(lesson.max_new_tokens > 0 for lesson in lessons)
        assert not any(lesson.context for lesson in lessons if lesson.replay)
        for lesson in taught:
            assert lesson.context.endswith(lesson.prompt)
            assert any(diagnosis.misconception in lesson.context for diagnosis in diagnoses)
            assert (lesson.completion in lesson.context) is (context == "own")


def _train_responses(ledger: Ledger) -> Iterator[Response]:
    for evaluation in ledger.all(Evaluation, 1):
        if (evaluation.task, evaluation.split) == ("arithmetic", "train"):
            yield from ledger.responses(evaluation)


def test_every_sample_traces_back_to_its_mistake_and_on_to_its_checkpoint(tmp_path: Path) -> None:
    run(config(cycles="1"), tmp_path)
    with open_ledger(tmp_path) as ledger:
        sample = next(ledger.all(Sample))
        draft = ledger.get(Draft, sample.draft)
        assert draft is not None
        diagnosis = ledger.get(Diagnosis, draft.diagnosis)
        assert diagnosis is not None
        response = ledger.response(diagnosis.response)
        assert response is not None
        assert response.score.verdict == "wrong"
        assert response.split == "train"
        assert ledger.get(Call, draft.call) is not None
        assert ledger.get(Call, diagnosis.call) is not None
        evaluation = ledger.find(Evaluation, response.evaluation)
        assert evaluation is not None
        assert ledger.get(Checkpoint, evaluation.checkpoint) == ledger.find(Checkpoint, keys.BASE)
        training = ledger.find(Training, "training:1")
        candidate = ledger.find(Checkpoint, keys.candidate(1, 1))
        assert training is not None
        assert candidate is not None
        assert candidate.training_set == training.training_set
        assert next(ledger.all(Lesson, parent=sample.hash)).source == sample.hash


def test_test_is_read_once_at_the_end_and_never_learnt_from(tmp_path: Path) -> None:
    seen: list[Event] = []
    run(config(), tmp_path, seen.append)
    order = [event for event in seen if event.done == 0]
    first_test = next(place for place, event in enumerate(order) if event.split == "test")
    assert all(event.split != "dev" and event.stage != "train" for event in order[first_test:])
    with open_ledger(tmp_path) as ledger:
        responses = {ledger.response(diagnosis.response) for diagnosis in ledger.all(Diagnosis)}
        assert {response.split for response in responses if response} == {"train"}
        assert {response.task for response in responses if response} == {"arithmetic"}


@pytest.mark.parametrize("strategy", ["error", "contrast", "undirected"])
def test_every_strategy_runs_on_the_same_quota(strategy: Strategy, tmp_path: Path) -> None:
    run(_with_strategy(strategy), tmp_path)
    with open_ledger(tmp_path) as ledger:
        mistakes = ledger.count(Diagnosis, 1)
        assert ledger.count(Sample, 1) == 48
        assert (mistakes == 0) == (strategy == "undirected")
        borders = [diagnosis.border for diagnosis in ledger.all(Diagnosis, 1)]
        assert all(borders) == (strategy != "error")


def _with_strategy(strategy: Strategy) -> Config:
    base = config(cycles="1")
    chosen = replace(base.strategy, name=strategy, samples_per_error=20, max_samples=48, rounds=6)
    return replace(base, strategy=chosen)


def test_a_useless_instructor_leaves_the_base_model(tmp_path: Path) -> None:
    base = config()
    final = run(replace(base, instructor=replace(base.instructor, kind="noise")), tmp_path)
    assert final.form == "base"
    with open_ledger(tmp_path) as ledger:
        assert decisions(ledger) == ["reject", "reject"]
        assert ledger.count(Sample) == 0
        reasons = Counter(rejection.reason for rejection in ledger.all(Rejection))
        assert set(reasons) <= {"wrong_answer", "unverifiable", "wrong_step", "format"}
        assert "no draft passed verification" in next(ledger.all(Decision)).reason


def test_the_gate_rejects_noise_that_was_trusted_and_trained_on(tmp_path: Path) -> None:
    base = config(gain="0.0")
    noise = replace(base.instructor, kind="noise")
    trusting = replace(base, instructor=noise, verify=replace(base.verify, answers="trust"))
    assert run(trusting, tmp_path).form == "base"
    with open_ledger(tmp_path) as ledger:
        assert ledger.count(Training) == 2
        assert decisions(ledger) == ["reject", "reject"]


def test_a_harmful_training_is_rolled_back(tmp_path: Path) -> None:
    assert run(config(accuracy="0.6", gain="-0.3"), tmp_path).form == "base"
    with open_ledger(tmp_path) as ledger:
        assert decisions(ledger) == ["reject", "reject"]


def test_nothing_wrong_means_stop(tmp_path: Path) -> None:
    run(config(accuracy="1.0"), tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert decisions(ledger) == ["stop"]


def test_a_finished_run_does_nothing_again(tmp_path: Path) -> None:
    run(config(), tmp_path)
    before = contents(tmp_path)
    seen: list[Event] = []
    run(config(), tmp_path, seen.append)
    assert seen == []
    assert contents(tmp_path) == before


def test_two_runs_of_one_file_hold_the_same(tmp_path: Path) -> None:
    run(config(), tmp_path / "a")
    run(config(), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_exam_evaluates_only_and_the_run_goes_on_from_it(tmp_path: Path) -> None:
    exam(config(), tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert ledger.count(Evaluation) == 4
        assert ledger.count(Decision) == 0
    seen: list[Event] = []
    run(config(), tmp_path, seen.append)
    assert seen[0].stage == "contrast"


def test_another_run_file_or_changed_data_is_refused(tmp_path: Path) -> None:
    run(config(cycles="1"), tmp_path)
    with pytest.raises(LedgerError, match=r"have used up gate\.alpha = 0\.05"):
        run(config(), tmp_path)
    with pytest.raises(LedgerError, match="another run file"):
        run(replace(config(cycles="1"), gate=replace(config().gate, alpha=0.01)), tmp_path)
    data = tmp_path / "own.jsonl"
    data.write_text("\n".join(f'{{"question": "What is {n} + 1?", "answer": "{n + 1}"}}' for n in range(60)))
    own = tmp_path / "own.toml"
    task = '[[tasks]]\nname = "own"\nkind = "jsonl"\npath = "own.jsonl"\ntrain = 20\ndev = 8\ntest = 8\n'
    own.write_text(RUN_FILE.split("[[tasks]]", maxsplit=1)[0] + task + RUN_FILE.split("margin = 0.1")[1])
    exam(load(own), tmp_path / "own")
    data.write_text(data.read_text().replace("What is", "Compute"))
    with pytest.raises(LedgerError, match="examples of 'own' changed"):
        exam(load(own), tmp_path / "own")


def test_a_data_mistake_leaves_no_ledger_behind(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text("")
    own = tmp_path / "own.toml"
    task = '[[tasks]]\nname = "own"\nkind = "jsonl"\npath = "own.jsonl"\n'
    own.write_text(RUN_FILE.split("[[tasks]]", maxsplit=1)[0] + task + RUN_FILE.split("margin = 0.1")[1])
    with pytest.raises(DataError):
        run(load(own), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_budget_stops_the_run_and_raising_it_goes_on(tmp_path: Path) -> None:
    base = config(cycles="1")
    paid = replace(base, instructor=replace(base.instructor, kind="scripted", options={"cost_usd": 1.0}))
    with pytest.raises(BudgetError, match=r"\$5 is used up"):
        run(replace(paid, run=replace(paid.run, budget_usd=5.0)), tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert ledger.total_cost() == 5.0
    run(replace(paid, run=replace(paid.run, budget_usd=500.0)), tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert ledger.count(Decision) == 1
        assert ledger.count(Call) == ledger.total_cost()


SCRIPT = """
import sys
from pathlib import Path
from errorbook.config import load
from errorbook.loop import run
run(load(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(RUN_FILE.replace("gain = 0.25", "gain = 0.25\ndelay = 0.002"))
    command = [sys.executable, "-c", SCRIPT, str(file), str(tmp_path / "killed")]
    moments = random.Random(7)
    kills = 0
    while kills < 20:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        _wait_for_ledger(tmp_path / "killed", process)
        time.sleep(moments.uniform(0.0, 0.5))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert kills >= 10
    run(load(file), tmp_path / "undisturbed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def _wait_for_ledger(folder: Path, process: subprocess.Popen[str]) -> None:
    """Kills should fall into the run, not into the interpreter's start."""
    begun = time.time()
    locked = folder / "ledger.sqlite-wal"
    while not locked.exists() and process.poll() is None and time.time() - begun < 60:
        time.sleep(0.01)


def test_only_wrong_answers_from_train_reach_the_instructor() -> None:
    verdicts: list[Verdict] = ["right", "wrong", "unscorable"]
    examples = [
        Example(id=verdict, task="t", split="train", question=f"{verdict}?", answer="1") for verdict in verdicts
    ]
    book = {str(verdict): Marked(response=_response("wrong"), verdict=verdict) for verdict in verdicts}
    assert [mistake.example.id for mistake in find_mistakes(examples, book, "error")] == ["wrong"]
    held = replace(examples[1], split="dev")
    with pytest.raises(StageError, match="only train may reach the instructor"):
        find_mistakes([held], book, "error")


def _response(verdict: Verdict) -> Response:
    return Response(
        evaluation="e",
        example=verdict,
        task="t",
        split="train",
        prompt_hash="p",
        text="text",
        tokens=1,
        truncated=False,
        score=Score(verdict=verdict),
    )


def test_an_invented_quote_is_a_failure_with_its_reason() -> None:
    mistake = Mistake(
        example=Example(id="wrong", task="arithmetic", split="train", question="What is 1 + 1?", answer="2"),
        response=_response("wrong"),
        strategy="error",
    )

    class Inventor(ScriptedInstructor):
        def diagnose(self, mistakes: Iterable[Mistake]) -> Iterator[tuple[Mistake, Diagnosis | Failure, Call]]:
            for item, result, call in super().diagnose(mistakes):
                assert isinstance(result, Diagnosis)
                yield item, replace(result, first_wrong_step="I never said that"), call

    ((_, result, _),) = diagnose(Inventor(), [mistake])
    assert isinstance(result, Failure)
    assert "I never said that" in result.reason


def test_what_is_neither_draft_nor_failure_is_no_result_of_writing() -> None:
    class Careless(ScriptedInstructor):
        def __init__(self, result: object) -> None:
            super().__init__()
            self.result = result

        def write(self, assignments: Iterable[Assignment]) -> Iterator[Any]:
            for assignment, _, call in super().write(assignments):
                yield assignment, self.result, call

    (assignment,) = assign_undirected(["arithmetic"], 1, cycle=1)
    for result, kind in (
        (None, "NoneType"),
        (["What is 1 + 1?"], "str"),
        ("text", "str"),
        ((assignment,), "Assignment"),
    ):
        with pytest.raises(StageError, match=f"The instructor 'scripted' wrote a {kind}; it must give drafts"):
            list(instruct(Careless(result), [assignment]))
