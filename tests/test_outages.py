"""An outage is no result: the run stops with the first reason, spends nothing later, and the same call goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loop_kit import RUN_FILE, config
from teacher_kit import teacher

from errorbook.adapters.instructors.scripted import ScriptedInstructor
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.config import Config, parse
from errorbook.errors import ModelError, OutageError, UserError
from errorbook.ledger.events import Event
from errorbook.ledger.file import open_ledger
from errorbook.loop import exam, run
from errorbook.records import (
    Call,
    Comparison,
    Completion,
    Decision,
    Diagnosis,
    Evaluation,
    Example,
    Failure,
    Generation,
    Sample,
    Training,
)
from errorbook.setup.outages import Stage, sift
from errorbook.testing import Faults, Settings, server
from errorbook.testing.wire import ErrorReply, Turn

TERMS = 'kind = "openai"\nmodel = "m"\nbase_url = "{}"\npatience = 0.3\nconcurrency = 8\n'


def served(base_url: str, **changes: str) -> Config:
    """The small run with an instructor behind a server."""
    text = RUN_FILE + f"\n[instructor]\n{TERMS.format(base_url)}"
    for old, new in changes.items():
        text = text.replace(f"{old} = ", f"{old} = {new} # ", 1)
    return parse(text)


def spent_later(folder: Path) -> list[str]:
    """What an outage must leave unspent and unsaid."""
    with open_ledger(folder) as ledger:
        read = [f"{item.split} of {item.task}" for item in ledger.all(Evaluation) if item.split != "train"]
        kinds = (Comparison, Decision, Failure, Training)
        return read + [kind.__name__ for kind in kinds if ledger.count(kind)]


def refuse(status: int, words: str) -> Callable[[Sequence[Turn]], str]:
    def script(turns: Sequence[Turn]) -> str:
        raise ErrorReply(status, "invalid_request_error", words)

    return script


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"faults": Faults(malformed=1.0)}, "failed at diagnosing 1[0-9] of 27 mistakes|failed at diagnosing 20 of 27"),
        ({"faults": Faults(empty=1.0)}, "failed at diagnosing .* of 27 mistakes"),
        ({"faults": Faults(rate_limited=1.0, retry_after=0)}, "only failed for 0.3 s .*status 429"),
        ({"faults": Faults(rate_limited=1.0, retry_after=900)}, "asks to wait for 900 s"),
        ({"faults": Faults(server_error=1.0)}, "only failed for 0.3 s .*status 500"),
        ({"script": refuse(400, "thinking is not supported")}, "failed at diagnosing .*thinking is not supported"),
        ({"script": refuse(422, "no such setting")}, "failed at diagnosing .*no such setting"),
        ({"script": refuse(402, "Insufficient Balance")}, "Insufficient Balance"),
        ({"script": refuse(403, "region not allowed")}, "region not allowed"),
        ({"settings": Settings(models=("other",))}, "does not know the model 'm'"),
        ({"settings": Settings(api_key="secret")}, "does not accept the key"),
    ],
)
def test_an_instructor_that_answers_nothing_useful_stops_the_run(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with server(**options) as provider, pytest.raises(UserError, match=said) as stopped:
        run(served(provider.base_url), tmp_path)

    assert isinstance(stopped.value, (OutageError, ModelError))
    assert spent_later(tmp_path) == []


@pytest.mark.parametrize("fault", ["malformed", "empty", "rate_limited", "server_error", "cut"])
def test_after_an_outage_the_same_call_ends_as_an_undisturbed_run(fault: str, tmp_path: Path) -> None:
    with server(script=teacher) as provider:
        run(served(provider.base_url), tmp_path / "undisturbed")
        provider.change(msgspec.structs.replace(Faults(retry_after=0), **{fault: 1.0}))
        with pytest.raises(UserError):
            run(served(provider.base_url), tmp_path / "disturbed")
        provider.change(Faults())
        run(served(provider.base_url), tmp_path / "disturbed")

    with open_ledger(tmp_path / "undisturbed") as one, open_ledger(tmp_path / "disturbed") as other:
        assert other.count(Diagnosis) > 0
        assert other.count(Comparison) > 0
        assert other.digest() == one.digest()


def test_a_few_failures_are_data_and_the_run_goes_on(tmp_path: Path) -> None:
    base = config()
    some = msgspec.structs.replace(base.instructor, kind="scripted", options={})
    run(msgspec.structs.replace(base, instructor=some), tmp_path / "first")
    with open_ledger(tmp_path / "first") as ledger:
        failing = sorted({item.example for item in ledger.all(Diagnosis)})[:5]
    some = msgspec.structs.replace(some, options={"fail": failing})
    run(msgspec.structs.replace(base, instructor=some), tmp_path / "second")

    with open_ledger(tmp_path / "second") as ledger:
        assert 1 <= ledger.count(Failure) <= 2 * len(failing)
        assert ledger.count(Decision) == 2


def call(subject: str) -> Call:
    return Call(instructor="told", purpose="diagnose", subject=subject)


class Told:
    """An instructor whose answers are told beforehand, one list an attempt; "" is a success."""

    name = "told"

    def __init__(self, *attempts: dict[str, str]) -> None:
        self.attempts = list(attempts)
        self.asked: list[list[str]] = []
        self.forgot = 0

    def ask(self, items: Sequence[str]) -> Iterator[tuple[str, str | Failure, Call]]:
        causes = self.attempts.pop(0) if self.attempts else {}
        self.asked.append(list(items))
        for item in items:
            cause = causes.get(item, "")
            failure = Failure(subject=item, stage="diagnose", reason=f"{cause} it is.", cause=cause) if cause else item  # type: ignore[arg-type]
            yield item, failure, call(item)

    def forget_unread(self) -> None:
        self.forgot += 1

    def sift(self, items: Sequence[str], **stage: Any) -> dict[str, bool]:
        terms = Stage(**{"name": "diagnose", "total": len(items), "proven": False, **stage})
        found = sift(self, terms, self.ask, items)  # type: ignore[arg-type]
        return {item: not isinstance(result, Failure) for item, result, _ in found}

    diagnose = write = None


LETTERS = list("abcdefghij")


def test_what_got_no_answer_is_asked_once_more_before_it_fails() -> None:
    told = Told({"b": "unanswered", "c": "unread", "d": "unanswered"}, {"d": "unanswered"})

    found = told.sift(LETTERS)

    assert told.asked == [LETTERS, ["b", "d"]]
    assert [item for item, good in found.items() if not good] == ["c", "d"]
    assert found["b"]


@pytest.mark.parametrize(("failing", "stops"), [(5, False), (6, True), (10, True)])
@pytest.mark.parametrize("cause", ["item", "unread", "unanswered"])
def test_more_than_half_is_an_outage(failing: int, stops: bool, cause: str) -> None:
    bad = dict.fromkeys(LETTERS[:failing], cause)
    told = Told(bad, bad)
    if not stops:
        assert sum(told.sift(LETTERS).values()) == 10 - failing
        return
    with pytest.raises(OutageError, match=rf"diagnosing 6 of 10 mistakes \(the first: {cause} it is\)"):
        told.sift(LETTERS)
    assert told.forgot == 1


def test_a_proven_instructor_may_fail_at_the_few_that_are_left() -> None:
    bad = {"a": "unread", "b": "unread"}

    assert told_off(Told(bad), ["a", "b"], proven=False)
    assert not told_off(Told(bad), ["a", "b"], proven=True)


def test_unusable_replies_that_end_a_stage_stop_the_run_once() -> None:
    many = [str(number) for number in range(30)]
    end = dict.fromkeys(many[-5:], "unread")

    assert told_off(Told(end), many, proven=True)
    assert not told_off(Told(end), many[-5:], total=30, proven=True), "nothing else was left, and they are few"
    assert not told_off(Told(dict.fromkeys(many[-4:], "unread")), many, proven=True)
    assert not told_off(Told(dict.fromkeys(many[-6:-1], "unread")), many, proven=True), "a success came after them"
    assert not told_off(Told(dict.fromkeys(many[-5:], "item")), many, proven=True), "the items' own fault"


def test_a_vote_that_finds_fault_with_its_question_is_an_answer() -> None:
    bad = dict.fromkeys(LETTERS, "item")

    assert not told_off(Told(bad), LETTERS, name="vote")
    assert told_off(Told(bad), LETTERS, name="write")
    assert told_off(Told(dict.fromkeys(LETTERS, "unread")), LETTERS, name="vote")


@pytest.mark.parametrize("unanswered", [("q2:0",), ("q2:0", "q2:1", "q4:2"), ("q2:0", "q2:1", "q2:2")])
def test_votes_without_answer_are_asked_once_more_and_no_others(unanswered: tuple[str, ...]) -> None:
    asked: list[list[str]] = []

    def vote(questions: Sequence[str]) -> Iterator[tuple[str, str | Failure, Call]]:
        asked.append(list(questions))
        for subject in (f"{question}:{number}" for question in questions for number in range(3)):
            cause = "unanswered" if len(asked) == 1 and subject in unanswered else ""
            cause = "unread" if subject == "q4:1" else "item" if subject == "q2:2" and not cause else cause
            failure = Failure(subject=subject, stage="verify", reason="none came", cause=cause or "item")  # type: ignore[arg-type]
            yield subject.partition(":")[0], failure if cause else "7", call(subject)

    questions = [f"q{number}" for number in range(7)]
    found = list(sift(Told(), Stage("vote", 21, True), vote, questions))  # type: ignore[arg-type]

    assert asked == [questions, sorted({subject.partition(":")[0] for subject in unanswered})]
    assert sorted(one.subject for *_, one in found) == [
        f"{question}:{vote}" for question in questions for vote in range(3)
    ]
    assert {one.subject for _, result, one in found if isinstance(result, Failure)} == {"q2:2", "q4:1"}


def test_a_long_stage_is_not_gone_on_with_if_nothing_succeeds() -> None:
    many = [str(number) for number in range(1000)]
    told = Told(dict.fromkeys(many, "unread"))

    with pytest.raises(OutageError, match="20 of 1000"):
        told.sift(many)


@pytest.mark.parametrize(
    "bad",
    [
        {f"{n}": "unread" for n in (*range(3, 200, 9), *range(194, 200))},
        {f"{n}": "item" if n % 2 else "unread" for n in range(0, 200, 4)} | {f"{n}": "unread" for n in range(190, 200)},
        {"70": "item", "71": "unanswered"} | {f"{n}": "unread" for n in range(195, 200)},
        {f"{n}": "unread" for n in range(150, 200)},
    ],
)
@pytest.mark.parametrize("killed_at", [0, 40, 180])
def test_a_stage_with_lasting_failures_stops_once_at_most(bad: dict[str, str], killed_at: int) -> None:
    """Whatever was held back is asked first when the run goes on, and fails again."""
    left, stops = {f"{n}": None for n in range(200)}, 0
    for item, good in told_until(killed_at, bad).items():
        if good:
            left.pop(item)
    proven = len(left) < 200
    for _ in range(4):
        found: dict[str, bool] = {}
        told = Told(bad, bad)
        try:
            for item, result, _ in sift(told, Stage("diagnose", 200, proven), told.ask, list(left)):  # type: ignore[arg-type]
                found[item] = not isinstance(result, Failure)
            break
        except OutageError:
            stops += 1
            left = {item: None for item in left if not found.get(item)}
            proven = True

    assert stops <= 1
    assert {item for item, good in found.items() if not good} == set(bad)


def told_until(count: int, bad: dict[str, str]) -> dict[str, bool]:
    """What the first `count` items give before a kill: the failures among them are lost."""
    return {f"{n}": True for n in range(count) if f"{n}" not in bad}


def test_votes_that_are_known_already_are_no_sign_that_the_instructor_works_again() -> None:
    """A question is asked for all its votes if one of them is missing; the last two have one of their eight."""

    def vote(questions: Sequence[str]) -> Iterator[tuple[str, str | Failure, Call]]:
        for subject in (f"{question}:{number}" for question in questions for number in range(4)):
            failure = Failure(subject=subject, stage="verify", reason="not JSON", cause="unread")
            good = subject.partition(":")[0] not in {"q8", "q9"} or subject == "q8:0"
            yield subject.partition(":")[0], "7" if good else failure, call(subject)

    questions = [f"q{number}" for number in range(10)]
    with pytest.raises(OutageError, match="7 of 40"):
        list(sift(Told(), Stage("vote", 40, False), vote, questions))  # type: ignore[arg-type]
    stage = Stage("vote", 40, True, known={f"{question}:0" for question in questions})
    found = list(sift(Told(), stage, vote, questions[8:]))  # type: ignore[arg-type]

    assert sum(isinstance(result, Failure) for _, result, _ in found) == 7


def test_votes_that_failed_for_good_are_not_asked_for_again_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def vote(
        self: ScriptedInstructor, questions: Iterable[Example], votes: int
    ) -> Iterator[tuple[Example, str | Failure, Call]]:
        for question in questions:
            asked.append(question.id)
            for number in range(votes):
                one = Call(instructor="scripted", purpose="verify", subject=f"{question.id}:{number}")
                failure = Failure(subject=one.subject, stage="verify", reason="not JSON", cause="unread")
                yield question, failure if question.question.startswith(("Practice 4:", "Practice 9:")) else "1", one

    def stop(event: Event) -> None:
        if event.stage == "verify" and event.done == event.total:
            raise KeyboardInterrupt

    monkeypatch.setattr(ScriptedInstructor, "vote", vote, raising=False)
    rows = [{"question": f"Which number comes {n} places after {7 * n}?", "answer": str(8 * n)} for n in range(2, 62)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    made = config(cycles="1", accuracy="0.0", gain="0.0")
    text = f'[run]\nname = "x"\n[[tasks]]\nname = "mine"\nkind = "jsonl"\npath = "{tmp_path}/rows.jsonl"\n'
    made = msgspec.structs.replace(
        made,
        tasks=parse(f"{text}train = 20\ndev = 20\ntest = 0\n").tasks,
        target=msgspec.structs.replace(
            made.target, options=made.target.options | {"answers": {row["question"]: row["answer"] for row in rows}}
        ),
        strategy=msgspec.structs.replace(made.strategy, name="error", rounds=1),
        instructor=msgspec.structs.replace(made.instructor, kind="scripted"),
    )
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "run", stop)
    before = list(asked)
    run(made, tmp_path / "run")

    assert len(before) == 40
    assert asked == before


def test_what_failed_for_good_may_fail_again_in_a_later_round_alone(tmp_path: Path) -> None:
    """With one call each, the second round asks for the seven that failed, and nothing else is left to ask."""
    made = config(cycles="1", accuracy="0.0", gain="0.0")
    run(made, tmp_path / "seen")
    with open_ledger(tmp_path / "seen") as ledger:
        train = [one for one in ledger.all(Example) if (one.task, one.split) == ("arithmetic", "train")]
    script = {
        one.id: [[f"What is {n} + 1000?", f"{n + 1000}", f"{n} + 1000 = {n + 1000}"]] for n, one in enumerate(train)
    }
    options = {"script": script, "fail": [one.id for one in train[4:11]]}
    some = msgspec.structs.replace(made.instructor, kind="scripted", calls="one", options=options)
    strategy = msgspec.structs.replace(made.strategy, name="error", rounds=2, samples_per_error=1)
    run(msgspec.structs.replace(made, instructor=some, strategy=strategy), tmp_path / "run")

    with open_ledger(tmp_path / "run") as ledger:
        assert ledger.count(Failure) == 14
        assert ledger.count(Sample) == 32


def test_an_instructor_that_fails_at_all_of_a_later_round_is_still_an_outage() -> None:
    bad = dict.fromkeys(LETTERS, "item")

    assert told_off(Told(bad), LETTERS, proven=True, failed=5)
    assert not told_off(Told(bad), LETTERS, proven=True, failed=6), "four others are few"


def told_off(told: Told, items: Sequence[str], **stage: Any) -> bool:
    try:
        told.sift(items, **stage)
    except OutageError:
        return True
    return False


ANSWERLESS: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "answers are empty"),
    "unreadable": (lambda prompt: f"I would rather not say {'so' * (len(prompt) % 7)}.", "could not be scored"),
    "template": (lambda prompt: f"<|im_start|>user {prompt} <|im_end|>", "chat template"),
    "alike": (lambda _: "Answer: 7", "got the same answer"),
}


@pytest.mark.parametrize("kind", ANSWERLESS)
def test_answers_that_are_none_are_no_result(kind: str, tmp_path: Path) -> None:
    """A thinking model whose answers come back empty, a lame server: nothing is said of the model."""
    say, said = ANSWERLESS[kind]
    state = {"say": say}

    def script(turns: Sequence[Turn]) -> str:
        return state["say"](turns[-1].content)

    with server(script=script) as provider:
        asking = served_target(provider.base_url)
        with pytest.raises(OutageError, match=f"{said}.*Nothing of them is kept"):
            run(asking, tmp_path)
        assert spent_later(tmp_path) == []
        with open_ledger(tmp_path) as ledger:
            assert ledger.count(Evaluation) == 0
        state["say"] = lambda prompt: f"Answer: {len(prompt)}"
        with pytest.raises(UserError) as after:
            run(asking, tmp_path)

    assert not isinstance(after.value, OutageError), "the same command asks again"


def served_target(base_url: str) -> Config:
    """The small run with a target behind a server."""
    target = f'engine = "openai"\nmodel = "m"\nbase_url = "{base_url}"'
    text = RUN_FILE.replace('engine = "scripted"\naccuracy = 0.3\ngain = 0.25', target)
    text = text.replace('retriever = "scripted"', 'retriever = "tfidf"')
    return parse(text.replace('method = "scripted"', 'method = "external"'))


def stop_after(task: str, split: str) -> Callable[[Event], None]:
    """Ends the process as soon as the last answer of an evaluation is recorded."""

    def watch(event: Event) -> None:
        if (event.stage, event.task, event.split) == ("evaluate", task, split) and event.done == event.total:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize(("task", "split"), [("arithmetic", "train"), ("retention", "dev")])
def test_a_kill_right_after_the_last_answer_does_not_make_a_result_of_none(
    task: str, split: str, tmp_path: Path
) -> None:
    state = {"say": lambda prompt: f"Answer: {len(prompt)}"}

    def script(turns: Sequence[Turn]) -> str:
        return state["say"](turns[-1].content)

    with server(script=script) as provider:
        asking = served_target(provider.base_url)
        if split == "dev":
            with pytest.raises(KeyboardInterrupt):
                exam(asking, tmp_path, stop_after("retention", "train"))
        state["say"] = lambda _: ""
        with pytest.raises(KeyboardInterrupt):
            exam(asking, tmp_path, stop_after(task, split))
        with open_ledger(tmp_path) as ledger:
            [begun] = [item for item in ledger.all(Evaluation) if (item.task, item.split) == (task, split)]
            assert ledger.tally(begun).n == begun.n, "every answer was recorded"
        with pytest.raises(OutageError, match=f"The {split} answers to '{task}' .* are empty"):
            exam(asking, tmp_path)
        with open_ledger(tmp_path) as ledger:
            assert begun.hash not in ledger.keys(Evaluation)
        state["say"] = lambda prompt: f"Answer: {len(prompt)}"
        exam(asking, tmp_path)
        exam(served_target(provider.base_url), tmp_path / "undisturbed")

    with open_ledger(tmp_path) as ledger, open_ledger(tmp_path / "undisturbed") as undisturbed:
        assert ledger.digest() == undisturbed.digest()


def test_missing_answers_are_asked_for_and_the_others_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ScriptedTarget.generate

    def give_half(self: ScriptedTarget, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        return (one for one in whole(self, prompts, settings) if one.index % 2)

    plain = config()
    plain = msgspec.structs.replace(plain, compute=msgspec.structs.replace(plain.compute, cache=False))
    with monkeypatch.context() as poor:
        poor.setattr(ScriptedTarget, "generate", give_half)
        with pytest.raises(OutageError, match=r"20 of 39 questions got no answer\. The other answers are kept; "):
            exam(plain, tmp_path / "poor")
    with open_ledger(tmp_path / "poor") as ledger:
        [begun] = ledger.all(Evaluation)
        assert ledger.tally(begun).n == 19
    exam(plain, tmp_path / "poor")
    exam(plain, tmp_path / "undisturbed")

    with open_ledger(tmp_path / "poor") as ledger, open_ledger(tmp_path / "undisturbed") as undisturbed:
        assert ledger.digest() == undisturbed.digest()
