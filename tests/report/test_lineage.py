"""From a mistake to all that followed from it, and back from every draft and call, in runs of the real loop."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoint_kit import ANALYSIS, SUM, one_diagnosis, scripted
from loop_kit import config
from msgspec.structs import replace
from synthetic_run import write_exam, write_run
from teacher_kit import mistake as wrong_answer

from errorbook.corrections.inbox import submit
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.loop import run
from errorbook.records import (
    Call,
    Correction,
    Decision,
    Diagnosis,
    Draft,
    Example,
    Failure,
    Lesson,
    Rejection,
    Sample,
)
from errorbook.render.story_words import describe_effect, list_moments, name_checkpoint
from errorbook.report.fates import fate_of
from errorbook.report.question_story import Story, list_points, read_call_story, read_draft_story, read_story


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cycles, accepted both, by contrast."""
    folder = tmp_path_factory.mktemp("lineage")
    run(config(), folder)
    return folder


@pytest.fixture
def ledger(finished: Path) -> Iterator[Ledger]:
    with open_ledger(finished) as opened:
        yield opened


def mistakes(ledger: Ledger) -> list[Diagnosis]:
    found = list(ledger.all(Diagnosis))
    assert found, "without a mistake the tests below would show nothing"
    return found


def told(ledger: Ledger, example: str, task: str = "arithmetic", split: str = "train") -> Story:
    found = read_story(ledger, task, split, example)
    assert found is not None
    return found


def test_from_every_mistake_to_its_diagnosis_its_drafts_and_what_became_of_each(ledger: Ledger) -> None:
    seen: Counter[str] = Counter()
    for diagnosis in mistakes(ledger):
        [study] = [item for item in told(ledger, diagnosis.example).studies if item.hash == diagnosis.hash]
        assert study.diagnosis == diagnosis
        assert study.answer.hash == diagnosis.response
        assert study.answer.verdict == "wrong"
        assert study.call is not None
        assert study.call.hash == diagnosis.call
        for line in study.drafts:
            seen[line.hash] += 1
            assert line.draft.diagnosis == diagnosis.hash
            assert line.sample == ledger.find(Sample, line.hash)
            assert line.rejection == ledger.find(Rejection, line.hash)
            assert line.outcome == ("sample" if line.sample else "rejected")
    assert seen == Counter(draft.hash for draft in ledger.all(Draft)), "every draft in exactly one story, once"


def test_from_every_draft_back_to_its_mistake(ledger: Ledger) -> None:
    drafts = list(ledger.all(Draft))
    assert drafts
    for draft in drafts:
        back = read_draft_story(ledger, draft.hash)
        assert back is not None
        assert back.story is not None
        assert back.study is not None
        assert back.study.hash == draft.diagnosis
        assert back.line in back.study.drafts
        assert back.line in back.writing.drafts
        assert back.writing.call is not None
        assert back.writing.call.hash == draft.call


def test_a_draft_says_which_training_had_it_and_what_was_decided_of_that(ledger: Ledger) -> None:
    decided = {decision.cycle: decision.outcome for decision in ledger.all(Decision)}
    assert decided == {1: "accept", 2: "accept"}
    for cycle, outcome in decided.items():
        assert ledger.count(Sample, cycle)
        taught = {lesson.source for lesson in ledger.all(Lesson, cycle)}
        for sample in ledger.all(Sample, cycle):
            back = read_draft_story(ledger, sample.draft)
            assert back is not None
            assert sample.hash in taught
            assert [(item.cycle, item.use, item.outcome) for item in back.line.trained] == [(cycle, "sample", outcome)]


def test_every_call_leads_to_what_came_of_it(ledger: Ledger) -> None:
    for call in ledger.all(Call):
        found = read_call_story(ledger, call.hash)
        assert found is not None
        assert found.asked.call == call
        assert found.example is not None
        if call.purpose == "diagnose":
            assert found.diagnosis is not None
            assert found.diagnosis.response == call.subject
        else:
            assert {line.draft.assignment for line in found.drafts} <= {call.subject}
    assert {line.hash for call in ledger.all(Call) for line in read_call_story(ledger, call.hash).drafts} == {  # type: ignore[union-attr]
        draft.hash for draft in ledger.all(Draft)
    }


def test_contrasts_are_right_answers_of_the_same_checkpoint_the_nearest_first(ledger: Ledger) -> None:
    for diagnosis in mistakes(ledger)[:10]:
        for study in told(ledger, diagnosis.example).studies:
            assert study.diagnosis is not None
            assert tuple(near.hash for near in study.contrasts) == study.diagnosis.contrasts
            assert [near.rank for near in study.contrasts] == list(range(1, len(study.contrasts) + 1))
            assert study.contrasts
            for near in study.contrasts:
                assert near.response.score.verdict == "right"
                assert near.response.evaluation == study.answer.response.evaluation
                assert near.example.id == near.response.example
            similarities = [near.similarity or 0.0 for near in study.contrasts]
            assert similarities == sorted(similarities, reverse=True)
            assert similarities[0] > 0


def test_the_answers_of_all_checkpoints_come_in_order_with_their_fate(ledger: Ledger) -> None:
    known = Checkpoints(ledger)
    some = list(ledger.all(Example))[::17]
    assert len(some) > 10
    for example in some:
        found = told(ledger, example.id, example.task, example.split)
        expected = [
            response
            for point in list_points(ledger)
            if (evaluation := known.evaluation(point.hash, example.task, example.split))
            and (response := ledger.answer(evaluation, example.id))
        ]
        assert [answer.response for answer in found.answers] == expected
        assert [answer.point.cycle for answer in found.answers] == sorted(item.point.cycle for item in found.answers)
        assert found.fate == (fate_of(found.path) if found.path else None)
        assert len(found.path) == sum(answer.point.kept for answer in found.answers)


def test_a_right_answer_that_was_rehearsed_says_so(ledger: Ledger) -> None:
    replayed = next(lesson for lesson in ledger.all(Lesson, 1) if lesson.replay)
    response = ledger.response(replayed.source)
    assert response is not None
    found = told(ledger, response.example, response.task, response.split)
    uses = [item.use for answer in found.answers if answer.hash == replayed.source for item in answer.trained]
    assert "rehearsed" in uses


def test_a_retried_request_stands_apart_from_the_first(ledger: Ledger) -> None:
    again = [
        study
        for diagnosis in mistakes(ledger)
        for study in told(ledger, diagnosis.example).studies
        if len(study.writings) > 1
    ]
    assert again, "the scripted run rejects drafts, so some are asked for again"
    for study in again:
        assert len({writing.assignment for writing in study.writings}) == len(study.writings)
        assert all(writing.call for writing in study.writings)


def test_undirected_drafts_have_no_mistake_but_their_request(tmp_path: Path) -> None:
    contrast = config()
    run(replace(contrast, strategy=replace(contrast.strategy, name="undirected")), tmp_path)
    with open_ledger(tmp_path) as ledger:
        drafts = list(ledger.all(Draft))
        assert drafts
        for draft in drafts:
            back = read_draft_story(ledger, draft.hash)
            assert back is not None
            assert (back.story, back.study) == (None, None)
            assert back.line in back.writing.drafts
        example = next(item for item in ledger.all(Example) if item.split == "train")
        assert told(ledger, example.id).studies == ()


def test_a_failed_diagnosis_is_part_of_the_story(tmp_path: Path) -> None:
    with open_ledger(write_run(tmp_path)) as ledger:
        failure = next(item for item in ledger.all(Failure) if item.stage == "diagnose")
        response = ledger.response(failure.subject)
        assert response is not None
        [study] = [item for item in told(ledger, response.example, "sums").studies if item.failure]
        assert study.failure == failure
        assert study.call is not None
        assert any(
            moment.title.startswith("Not diagnosed") for moment in list_moments(told(ledger, response.example, "sums"))
        )
        found = read_call_story(ledger, study.call.hash)
        assert found is not None
        assert found.failure == failure
        assert found.example is not None
        assert found.example.id == response.example


def test_a_rejected_candidate_is_told_but_is_no_part_of_the_path(tmp_path: Path) -> None:
    with open_ledger(write_run(tmp_path)) as ledger:
        base, kept, rejected = list_points(ledger)
        assert [point.kept for point in (base, kept, rejected)] == [True, True, False]
        assert name_checkpoint(rejected) == "candidate of cycle 2, not kept"
        example = next(item for item in ledger.all(Example) if item.task == "sums" and item.split == "dev")
        found = told(ledger, example.id, "sums", "dev")
        assert [answer.point for answer in found.answers] == [base, kept, rejected]
        assert len(found.path) == 2


def test_an_exam_has_answers_and_nothing_else(tmp_path: Path) -> None:
    with open_ledger(write_exam(tmp_path)) as ledger:
        example = next(item for item in ledger.all(Example) if item.split == "train")
        found = told(ledger, example.id, "sums")
        assert (len(found.answers), found.studies, found.fate) == (1, (), "waiting")
        assert describe_effect(found) == ""


def test_what_a_person_changed_is_beside_the_original(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    with open_ledger(folder) as ledger:
        sample = next(ledger.all(Sample))
        response = ledger.response(next(ledger.all(Diagnosis)).response)
    assert response is not None
    edit = Correction(
        subject=sample.draft,
        kind="edit",
        author="Ada",
        question="How much is 777 + 1?",
        answer="778",
        solution="777 + 1 = 778",
    )
    submit(folder, edit)
    submit(folder, Correction(subject=response.hash, kind="score", author="Ada", verdict="right"))
    with open_ledger(folder) as ledger:
        back = read_draft_story(ledger, sample.draft)
        assert back is not None
        assert (back.line.outcome, back.line.edit) == ("edited", edit)
        assert back.line.draft.question != edit.question
        found = told(ledger, response.example, "sums")
        assert found.answers[0].corrections[0].verdict == "right"
        assert found.answers[0].verdict == "wrong", "the scorer's verdict stays"
        assert any(moment.title == "Score corrected by hand" for moment in list_moments(found))


EFFECT = re.compile(
    r"(Not asked again|(Not right|Right) (at first|for a while),( and)?( not)? right now)"
    r"(\. No sample written for it was trained on in a cycle that was kept\."
    r"|, after \d+ samples? written for it (was|were) trained on\.)"
)


def test_the_effect_says_what_happened_and_claims_no_cause(ledger: Ledger) -> None:
    """Every sentence is one of a few that state a sequence; a claim of a cause has no place in them."""
    said = set()
    for diagnosis in mistakes(ledger):
        found = told(ledger, diagnosis.example)
        sentence = describe_effect(found)
        assert EFFECT.fullmatch(sentence), sentence
        said.add(found.fate)
        assert [moment.cycle for moment in list_moments(found)] == sorted(
            moment.cycle for moment in list_moments(found)
        )
    assert len(said) > 1


def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    assert read_story(ledger, "arithmetic", "train", "nothing") is None
    assert read_draft_story(ledger, "0" * 32) is None
    assert read_call_story(ledger, "0" * 32) is None


def test_no_question_of_the_story_reads_a_whole_table(ledger: Ledger, finished: Path) -> None:
    statements: list[str] = []
    diagnosis = mistakes(ledger)[0]
    ledger.connection.set_trace_callback(statements.append)
    told(ledger, diagnosis.example)
    read_draft_story(ledger, next(draft.hash for draft in ledger.all(Draft, parent=diagnosis.hash)))
    ledger.connection.set_trace_callback(None)
    for statement in set(statements):
        if statement.startswith("SELECT"):
            plan = [row[3] for row in ledger.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert not [step for step in plan if step.startswith("SCAN") and "CONSTANT" not in step], statement


def test_a_call_keeps_what_was_sent_and_sent_again() -> None:
    invented = json.dumps({**ANALYSIS, "first_wrong_step": "17 + 25 = 31"})
    _, call, _ = one_diagnosis(scripted(invented, json.dumps(ANALYSIS)), wrong_answer(SUM, "17 + 25 = 32\nAnswer: 32"))
    assert call.prompt.startswith("[system]\n")
    assert call.prompt.count("[user]\n") == 2
    assert "17 + 25 = 32" in call.prompt
    assert invented in call.prompt, "the reply that was sent back"
    assert call.reply not in call.prompt


def test_a_call_without_a_request_keeps_its_old_hash() -> None:
    call = Call(instructor="tutor", purpose="diagnose", subject="s")
    assert call.prompt == ""
    assert call.hash != Call(instructor="tutor", purpose="diagnose", subject="s", prompt="x").hash
