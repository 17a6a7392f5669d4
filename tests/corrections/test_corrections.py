"""What people change: recorded as theirs through the ledger's one writer, and used by what is trained next."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from synthetic_run import Scribe, write_run

from errorbook.checks.taken import Refusal
from errorbook.config import parse
from errorbook.corrections.inbox import (
    collect,
    correct_sample,
    correct_samples,
    find_first_use,
    find_newest,
    list_corrections,
    list_left_out,
    list_waiting,
    mark_responses,
    submit,
)
from errorbook.errors import LedgerError, UserError
from errorbook.ledger import keys
from errorbook.ledger.events import Event, Watch
from errorbook.ledger.file import open_ledger
from errorbook.loop import exam, run
from errorbook.records import (
    Checkpoint,
    Correction,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Lesson,
    Marked,
    Rejection,
    Response,
    Sample,
    Split,
    Training,
)
from errorbook.report.build import build
from errorbook.verify import CHECKS, Check, name_checks

RUN_FILE = """
[run]
name = "small"
cycles = 2
seed = 5

[target]
engine = "scripted"
accuracy = 0.3
gain = 0.25

[[tasks]]
name = "arithmetic"
train = 26
dev = 39
test = 13

[strategy]
name = "error"

[train]
method = "scripted"
"""
CONFIG = parse(RUN_FILE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished synthetic run of two cycles, for what only reads."""
    return write_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A finished synthetic run of one's own."""
    return write_run(tmp_path)


def a_sample(folder: Path, place: int = 0, cycle: int = 1) -> Sample:
    with open_ledger(folder) as ledger:
        return list(ledger.all(Sample, cycle))[place]


def strike(sample: Sample, reason: str = "") -> Correction:
    return Correction(subject=sample.draft, kind="strike", author="ada", reason=reason)


def edit(sample: Sample, question: str = "How much is 41 + 58?", answer: str = "99", solution: str = "") -> Correction:
    solution = solution or "41 + 58 = 99."
    return Correction(
        subject=sample.draft, kind="edit", author="ada", question=question, answer=answer, solution=solution
    )


def a_mistake(folder: Path, cycle: int = 1) -> Response:
    with open_ledger(folder) as ledger:
        known = next(ledger.all(Diagnosis, cycle))
        found = ledger.response(known.response, known.example)
        assert found is not None
        return found


# Giving one --------------------------------------------------------------------------------------------------------


def test_a_correction_is_recorded_as_a_persons_and_the_original_stays(book: Path) -> None:
    sample = a_sample(book)

    assert submit(book, strike(sample, "It teaches the wrong thing.")) == "recorded"

    with open_ledger(book) as ledger:
        assert ledger.find(Correction, f"strike:{sample.draft}:1") == strike(sample, "It teaches the wrong thing.")
        assert ledger.find(Sample, sample.draft) == sample
        assert [item.cycle for item in list_corrections(ledger, sample.draft)] == [3]  # both cycles are trained
    assert list_waiting(book) == []


def test_the_same_correction_again_changes_nothing(book: Path) -> None:
    sample = a_sample(book)
    submit(book, strike(sample))
    with open_ledger(book) as ledger:
        before = ledger.digest()

    assert submit(book, strike(sample)) == "recorded"

    with open_ledger(book) as ledger:
        assert ledger.digest() == before


def test_the_newest_of_several_counts(book: Path) -> None:
    sample = a_sample(book)
    back = Correction(subject=sample.draft, kind="restore", author="ada")

    for correction, left in ((strike(sample), []), (edit(sample), ["How much is 41 + 58?"]), (back, [sample.question])):
        submit(book, correction)
        with open_ledger(book) as ledger:
            assert [item.question for item in correct_samples(ledger, None, [sample])] == left

    with open_ledger(book) as ledger:
        given = [item.key.partition(":")[0] for item in list_corrections(ledger, sample.draft)]
        assert given == ["strike", "edit", "restore"]


def test_an_edited_sample_says_whose_it_is(book: Path) -> None:
    sample = a_sample(book)
    submit(book, edit(sample))

    with open_ledger(book) as ledger:
        (made,) = correct_samples(ledger, None, [sample])

    assert (made.question, made.answer, made.draft) == ("How much is 41 + 58?", "99", sample.draft)
    assert made.checks[0] == "edited by ada"


def test_an_edit_of_the_answer_or_the_question_keeps_no_other_right_answers(book: Path) -> None:
    sample = replace(a_sample(book), accepted=("ninety-nine", "99.0"))
    solved = edit(sample, sample.question, sample.answer, "Add the tens, then the ones.")

    def others(correction: Correction) -> tuple[str, ...]:
        made = correct_sample(sample, correction)
        assert made is not None
        return made.accepted

    assert others(solved) == sample.accepted
    assert others(replace(solved, answer="100")) == ()
    assert others(replace(solved, question="How much is 41 + 58?")) == ()


def refusals(folder: Path) -> Iterator[tuple[Correction, str]]:
    sample, other = a_sample(folder), a_sample(folder, 1)
    with open_ledger(folder) as ledger:
        held = [example for example in ledger.all(Example) if (example.task, example.split) == ("chat", "dev")][-1]
        known = next(example for example in ledger.all(Example) if example.split == "train")
    yield Correction(subject="0" * 32, kind="strike"), "no sample"
    yield Correction(subject="0" * 32, kind="score", verdict="right"), "no response"
    yield Correction(subject=a_mistake(folder).hash, kind="score"), "needs a verdict"
    yield edit(sample, question="  "), "leaves the question empty"
    yield edit(sample, answer=""), "leaves the answer empty"
    yield edit(sample, sample.question, sample.answer, sample.solution), "as it was written"
    yield edit(sample, held.question), "contaminated: .*/dev/"
    yield edit(sample, known.question), "duplicate"
    yield edit(sample, other.question), "duplicate"
    yield edit(sample, solution="41 + 58 = 98."), "wrong step"


def test_what_fits_nothing_or_may_not_be_trained_on_is_refused_with_a_sentence(finished: Path) -> None:
    for correction, sentence in refusals(finished):
        with pytest.raises(UserError, match=sentence):
            submit(finished, correction)
    assert list_waiting(finished) == []


def test_every_check_that_needs_no_run_refuses_an_edit(finished: Path) -> None:
    sample = a_sample(finished)
    with open_ledger(finished) as ledger:
        held = [example for example in ledger.all(Example) if (example.task, example.split) == ("chat", "dev")][-1]
    refused = {
        "leak": edit(sample, question="How much is 41 + 58? The answer is 99."),
        "doubt": edit(sample, solution="41 + 58 = 98. I apologize, that was wrong. 41 + 58 = 99."),
        "steps": edit(sample, solution="41 + 58 = 98."),
        "duplicates": edit(sample, question=a_sample(finished, 1).question),
        "contamination": edit(sample, question=held.question),
    }
    assert tuple(refused) == name_checks("scorer", "answer"), "a new check needs its own edit here"

    for check in CHECKS:
        if check.name in refused:
            reasons = "|".join(check.reasons).replace("_", " ")
            with pytest.raises(UserError, match=rf"trained on \(({reasons}): "):
                submit(finished, refused[check.name])


def test_a_new_check_refuses_edits_without_a_second_place(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Check("shouting", {"shouting": "it is written in capitals"}, lambda draft, _: Refusal("shouting", "HOW"))
    sample = a_sample(book)
    monkeypatch.setattr("errorbook.verify.CHECKS", (*CHECKS, new))

    with pytest.raises(UserError, match="shouting: HOW"):
        submit(book, edit(sample))

    made = correct_sample(sample, edit(sample))
    assert made is not None
    assert made.checks[1:] == ("leak", "doubt", "steps", "duplicates", "contamination", "shouting")


def test_an_edit_may_resemble_its_own_original(book: Path) -> None:
    sample = a_sample(book, -1)  # no other cycle drew its question again

    assert submit(book, edit(sample, sample.question, sample.answer, "Count on.")) == "recorded"


def test_a_draft_that_was_rejected_cannot_be_corrected(finished: Path) -> None:
    with open_ledger(finished) as ledger:
        rejected = next(ledger.all(Rejection)).draft

    with pytest.raises(UserError, match="only samples can be changed"):
        submit(finished, Correction(subject=rejected, kind="strike"))


def test_a_folder_that_cannot_be_written_is_said_so(book: Path) -> None:
    sample = a_sample(book)
    (book / "corrections").write_text("a file stands where the folder should be")

    with pytest.raises(LedgerError, match="cannot be written"):
        submit(book, strike(sample))


# One writer --------------------------------------------------------------------------------------------------------


def test_while_a_run_is_writing_a_correction_waits_and_keeps_its_order(book: Path) -> None:
    sample, other = a_sample(book), a_sample(book, 1)
    with open_ledger(book, "write") as ledger:
        assert submit(book, strike(sample)) == "waiting"
        assert submit(book, strike(sample)) == "waiting"
        assert submit(book, strike(other)) == "waiting"
        assert submit(book, edit(sample)) == "waiting"
        assert [item.correction for item in list_waiting(book)] == [strike(sample), strike(other), edit(sample)]
        assert find_newest(ledger) == {}

        assert collect(ledger) == 3

        assert list_waiting(book) == []
        assert [item.key for item in list_corrections(ledger, sample.draft)] == [
            f"strike:{sample.draft}:1",
            f"edit:{sample.draft}:2",
        ]


def test_killed_between_the_commit_and_the_clearing_nothing_is_appended_twice(book: Path) -> None:
    sample = a_sample(book)
    with open_ledger(book, "write") as ledger:
        for correction in (strike(sample), edit(sample), strike(sample)):
            submit(book, correction)
        files = {path: path.read_bytes() for path in (book / "corrections").glob("*.json")}
        collect(ledger)
        once = ledger.digest()
        for path, content in files.items():  # as if the process had ended before it removed them
            path.write_bytes(content)

        collect(ledger)

        assert ledger.digest() == once


def test_what_waited_is_recorded_with_the_next_correction_once_nobody_writes(book: Path) -> None:
    sample = a_sample(book)
    with open_ledger(book, "write"):
        submit(book, strike(sample))

    assert submit(book, strike(sample)) == "recorded"
    with open_ledger(book) as ledger:
        assert len(list_corrections(ledger, sample.draft)) == 1


def test_what_is_no_correction_is_left_alone(book: Path) -> None:
    stray = book / "corrections" / "00000001-note.json"
    stray.parent.mkdir()
    stray.write_text("not mine")

    submit(book, strike(a_sample(book)))

    assert stray.read_text() == "not mine"


@settings(max_examples=15, deadline=None)
@given(said=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["strike", "restore", "edit"]), st.booleans())))
def test_however_they_come_the_ledger_says_what_was_said_last(
    said: list[tuple[int, str, bool]], finished: Path
) -> None:
    """Some are given while a run writes, some are not; repetitions, kills and collecting make no difference."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(finished, Path(place) / "run"))
        last: dict[str, str] = {}
        for number, (which, kind, busy) in enumerate(said):
            sample = a_sample(folder, which)
            correction = (
                edit(sample, f"How much is {number} + 5000?", f"{number + 5000}", f"{number} + 5000 = {number + 5000}.")
                if kind == "edit"
                else Correction(subject=sample.draft, kind="strike" if kind == "strike" else "restore")
            )
            if busy:
                with open_ledger(folder, "write"):
                    submit(folder, correction)
            else:
                submit(folder, correction)
            last[sample.draft] = correction.hash
        with open_ledger(folder, "write") as ledger:
            collect(ledger)
            assert {subject: item.correction.hash for subject, item in find_newest(ledger).items()} == last


# Which cycle uses it -----------------------------------------------------------------------------------------------


def test_a_sample_counts_for_the_first_training_to_come_and_a_score_for_the_first_study(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    score = Correction(subject="s", kind="score", verdict="right")
    taken = Correction(subject="d", kind="strike")
    with open_ledger(tmp_path, "write") as ledger:
        for _ in Scribe(ledger).steps():
            state = f"{ledger.count(Diagnosis) > 0} {ledger.count(Training)} {ledger.count(Decision)}"
            seen[state] = (find_first_use(ledger, taken), find_first_use(ledger, score))

    assert seen["False 0 0"] == (1, 1)
    assert seen["True 0 0"] == (1, 2)
    assert seen["True 1 0"] == (2, 2)
    assert seen["True 2 1"] == (3, 3)
    assert seen["True 2 2"] == (3, 3)


def test_scores_are_corrected_on_train_only_and_wherever_the_same_answer_is_given(book: Path) -> None:
    mistake = a_mistake(book)
    with open_ledger(book) as ledger:
        dev = next(
            response
            for evaluation in ledger.all(Evaluation)
            if evaluation.split == "dev"
            for response in ledger.responses(evaluation, "wrong")
        )
    for response in (mistake, dev):
        submit(book, Correction(subject=response.hash, kind="score", verdict="right", reason="Twelve is 12."))

    with open_ledger(book) as ledger:
        marked = mark_responses(ledger, 3, {mistake.example: mistake, dev.example: dev})
        later = replace(mistake, evaluation="of another checkpoint")
        other = replace(later, text="Answer: 16")

        # What is built on a response traces back to the recorded one, so that stays as it is.
        assert marked[mistake.example] == Marked(response=mistake, verdict="right")
        assert marked[dev.example] == Marked(response=dev, verdict="wrong")
        assert mark_responses(ledger, 3, {later.example: later})[later.example].verdict == "right"
        assert mark_responses(ledger, 3, {other.example: other})[other.example].verdict == "wrong"
        assert mark_responses(ledger, 2, {mistake.example: mistake})[mistake.example].verdict == "wrong"


def test_an_answers_own_verdict_goes_before_that_of_an_equal_one(book: Path) -> None:
    with open_ledger(book) as ledger:
        asked = [item for item in ledger.all(Evaluation) if (item.task, item.split) == ("sums", "train")]
        first, second = ({answer.example: answer for answer in ledger.responses(item, "wrong")} for item in asked[:2])
    example = next(example for example in first if example in second)
    submit(book, Correction(subject=first[example].hash, kind="score", verdict="right"))
    submit(book, Correction(subject=second[example].hash, kind="score", verdict="unscorable"))

    with open_ledger(book) as ledger:
        for answer, verdict in ((first[example], "right"), (second[example], "unscorable")):
            assert mark_responses(ledger, 3, {example: answer})[example].verdict == verdict


# In a run ----------------------------------------------------------------------------------------------------------


def at(split: Split, cycle: int, act: Callable[[], object]) -> Watch:
    """A watcher that acts once, when the evaluation of the learnt task on a split begins in a cycle."""
    done: list[bool] = []

    def watch(event: Event) -> None:
        if (event.stage, event.task, event.split, event.cycle) == ("evaluate", "arithmetic", split, cycle) and not done:
            done.append(True)
            act()

    return watch


def taught(folder: Path, cycle: int) -> set[str]:
    with open_ledger(folder) as ledger:
        return {lesson.prompt for lesson in ledger.all(Lesson, cycle) if not lesson.replay}


def test_a_sample_struck_out_while_the_run_writes_is_not_trained_on(tmp_path: Path) -> None:
    said: list[tuple[Sample, str]] = []

    def act() -> None:
        sample = a_sample(tmp_path)
        said.append((sample, submit(tmp_path, strike(sample))))

    run(CONFIG, tmp_path, at("dev", 1, act))

    ((sample, receipt),) = said
    assert receipt == "waiting"
    assert list_waiting(tmp_path) == []
    assert not any(sample.question in prompt for prompt in taught(tmp_path, 1))
    with open_ledger(tmp_path) as ledger:
        assert [item.cycle for item in list_corrections(ledger, sample.draft)] == [1]
        training = ledger.find(Training, "training:1")
        assert training is not None
        assert training.lessons - training.replayed == ledger.count(Sample, 1) - 1
        assert (list_left_out(ledger, 1), list_left_out(ledger, 2)) == ({sample.draft}, set())


def test_the_report_counts_no_struck_sample_as_trained_on(tmp_path: Path) -> None:
    def act() -> None:
        for place in (0, 3, 4):
            submit(tmp_path, strike(a_sample(tmp_path, place)))
        submit(tmp_path, edit(a_sample(tmp_path, 1), "What is 4200 + 5700?", "9900", "4200 + 5700 = 9900."))

    made = replace(CONFIG, run=replace(CONFIG.run, cycles=1))
    run(
        replace(made, strategy=replace(made.strategy, name={"error": 0.5, "contrast": 0.5})),
        tmp_path,
        at("dev", 1, act),
    )

    with open_ledger(tmp_path) as ledger:
        report, trained = build(ledger), ledger.count(Sample) - 3
        assert report.cycles[0].decision == "accept"
        for counted in (report.strategies, report.error_kinds):
            assert sum(one.trained for one in counted) == sum(one.kept for one in counted) == trained
        assert (report.funnel.trained, report.funnel.kept) == (trained, trained)


def test_an_edit_is_what_the_training_sees(tmp_path: Path) -> None:
    edited: list[Correction] = []

    def act() -> None:
        edited.append(edit(a_sample(tmp_path), "What is 4100 + 5800?", "9900", "4100 + 5800 = 9900."))
        submit(tmp_path, edited[0])

    run(CONFIG, tmp_path, at("dev", 1, act))

    with open_ledger(tmp_path) as ledger:
        lessons = [lesson for lesson in ledger.all(Lesson, 1) if "4100 + 5800" in lesson.prompt]
        assert len(lessons) == 1
        assert "4100 + 5800 = 9900." in lessons[0].completion
        original = ledger.find(Sample, edited[0].subject)
        assert original is not None
        assert not any(original.question in prompt for prompt in taught(tmp_path, 1))
        (made,) = correct_samples(ledger, 1, [original])
        assert lessons[0].source == made.hash


def test_an_edit_that_only_the_run_can_refuse_is_recorded_and_left_out(tmp_path: Path) -> None:
    """A benchmark that no sample may contain is no part of the ledger: no page knows it, the run does."""
    question, answer = "Of the 304 seats in a stadium, 89 are taken. How many are free?", "215"
    protecting = parse(f'{RUN_FILE}\n[verify]\nagainst = ["arithmetic_transfer"]\n')
    folder, copied = tmp_path, list[Correction]()

    def act() -> None:
        copied.append(edit(a_sample(folder), question, answer, "304 - 89 = 215."))
        submit(folder, copied[0])

    run(protecting, folder, at("dev", 1, act))

    with open_ledger(folder) as ledger:
        ((_, key, cycle),) = list_corrections(ledger, copied[0].subject)
        refusal = ledger.find(Rejection, key)
        assert cycle == 1
        assert refusal is not None
        assert refusal.reason == "contaminated"
        assert copied[0].subject not in {item.draft for item in ledger.all(Rejection)}  # the draft itself passed
        assert refusal not in ledger.all(Rejection, 1)  # and no count of drafts changes
        original = ledger.find(Sample, copied[0].subject)
        assert original is not None
        assert correct_samples(ledger, None, [original]) == []
        assert list_left_out(ledger, 1) == {original.draft}
    assert not any("stadium" in prompt or original.question in prompt for prompt in taught(folder, 1))


def test_an_edit_whose_answer_the_scorer_cannot_read_is_refused_by_the_run(tmp_path: Path) -> None:
    made = list[Correction]()

    def act() -> None:
        made.append(edit(a_sample(tmp_path), answer="many"))
        submit(tmp_path, made[0])

    run(CONFIG, tmp_path, at("dev", 1, act))

    with open_ledger(tmp_path) as ledger:
        refusal = ledger.find(Rejection, list_corrections(ledger, made[0].subject)[0].key)
    assert refusal is not None
    assert refusal.reason == "format"


def test_a_mistake_that_a_person_found_right_is_not_studied(tmp_path: Path) -> None:
    exam(CONFIG, tmp_path)
    with open_ledger(tmp_path) as ledger:
        evaluation = next(item for item in ledger.all(Evaluation) if item.split == "train")
        right, wrong = next(ledger.responses(evaluation, "right")), next(ledger.responses(evaluation, "wrong"))
    submit(tmp_path, Correction(subject=wrong.hash, kind="score", verdict="right", author="ada"))
    submit(tmp_path, Correction(subject=right.hash, kind="score", verdict="wrong", author="ada"))

    run(CONFIG, tmp_path)

    with open_ledger(tmp_path) as ledger:
        studied = {diagnosis.response for diagnosis in ledger.all(Diagnosis, 1)}
        assert wrong.hash not in studied
        assert right.hash in studied
        assert all(ledger.response(response) for response in studied)  # every diagnosis traces back
        assert right.hash not in {lesson.source for lesson in ledger.all(Lesson, 1)}  # and it is not rehearsed
        tally = ledger.tally(evaluation)
        assert len([*ledger.responses(evaluation, "right")]) == tally.right  # what was recorded stays as it was scored
        assert ledger.response(wrong.hash) == wrong


def test_a_score_given_while_mistakes_are_studied_counts_from_the_next_cycle(tmp_path: Path) -> None:
    harmless = parse(RUN_FILE.replace("gain = 0.25", "gain = 0.0"))  # rejected: the next cycle has the same answers
    given: list[Response] = []

    def act() -> None:
        given.append(a_mistake(tmp_path))
        submit(tmp_path, Correction(subject=given[0].hash, kind="score", verdict="right"))

    run(harmless, tmp_path, at("dev", 1, act))

    with open_ledger(tmp_path) as ledger:
        assert [decision.outcome for decision in ledger.all(Decision)] == ["reject", "reject"]
        assert [item.cycle for item in list_corrections(ledger, given[0].hash)] == [2]
        sources = {lesson.source for lesson in ledger.all(Lesson, 1) if lesson.replay}
        assert given[0].hash not in sources
        drafted = _drilled(tmp_path, 2)
    assert given[0].example in _drilled(tmp_path, 1)
    assert given[0].example not in drafted


def _drilled(folder: Path, cycle: int) -> set[str]:
    with open_ledger(folder) as ledger:
        diagnoses = {diagnosis.hash: diagnosis.example for diagnosis in ledger.all(Diagnosis)}
        return {diagnoses[draft.diagnosis] for draft in ledger.all(Draft, cycle)}


def test_where_every_sample_is_struck_out_the_cycle_is_rejected_with_its_reason(tmp_path: Path) -> None:
    def act() -> None:
        with open_ledger(tmp_path) as ledger:
            samples = list(ledger.all(Sample, 1))
        for sample in samples:
            submit(tmp_path, strike(sample))

    final = run(parse(RUN_FILE.replace("cycles = 2", "cycles = 1")), tmp_path, at("dev", 1, act))

    with open_ledger(tmp_path) as ledger:
        decision = next(ledger.all(Decision))
        assert (decision.outcome, "struck out" in decision.reason) == ("reject", True)
        assert final == ledger.find(Checkpoint, keys.BASE)


def test_training_from_the_base_again_goes_by_later_corrections_of_earlier_samples(tmp_path: Path) -> None:
    again = parse(RUN_FILE.replace('method = "scripted"', 'method = "scripted"\nstart = "restart"'))
    gone: list[Sample] = []

    def act() -> None:
        gone.append(a_sample(tmp_path))
        submit(tmp_path, strike(gone[0]))

    run(again, tmp_path, at("train", 2, act))

    with open_ledger(tmp_path) as ledger:
        assert next(ledger.all(Decision)).outcome == "accept"
    assert any(gone[0].question in prompt for prompt in taught(tmp_path, 1))
    assert not any(gone[0].question in prompt for prompt in taught(tmp_path, 2))


# Killed ------------------------------------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_corrections import corrected_run
corrected_run(Path(sys.argv[1]), delay=float(sys.argv[2]))
"""


def corrected_run(folder: Path, delay: float = 0.0) -> None:
    """A run in whose first cycle a person strikes one sample, edits one, and corrects a score."""

    def act() -> None:
        first, second = a_sample(folder), a_sample(folder, 1)
        submit(folder, strike(first))
        submit(folder, edit(second, "What is 4100 + 5800?", "9900", "4100 + 5800 = 9900."))
        submit(folder, Correction(subject=a_mistake(folder).hash, kind="score", verdict="right"))

    once = at("dev", 1, act)

    def watch(event: Event) -> None:
        once(event)
        time.sleep(delay)

    run(CONFIG, folder, watch)


@pytest.mark.slow
def test_killed_at_random_moments_a_corrected_run_ends_as_if_undisturbed(tmp_path: Path) -> None:
    corrected_run(tmp_path / "calm")
    code = _CHILD.format(tests=str(Path(__file__).parent))
    for number in range(4):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "shaken"), "0.004"], env=os.environ.copy())
        time.sleep(1.0 + 0.3 * number)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait(timeout=60)
    corrected_run(tmp_path / "shaken")

    with open_ledger(tmp_path / "calm") as calm, open_ledger(tmp_path / "shaken") as shaken:
        assert calm.count(Correction) == 3
        assert shaken.digest() == calm.digest()
