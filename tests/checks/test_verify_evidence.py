"""What `verify` writes down: every reason with its exact evidence, what it asks a scorer, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from errorbook.checks.taken import Protected, Refusal, Taken
from errorbook.records import Draft, Example, Rejection, Sample, Score, Split, Verdict
from errorbook.verify import Evidence, Known, find_faults, verify


class Words:
    """A task without a solver."""

    name = "words"
    scorer = "ending"
    max_new_tokens = 32

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        return ()

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        return question

    def completion(self, solution: str, answer: str) -> str:
        return f"{solution}|Answer: {answer}"


class Solved(Words):
    """A task that recomputes every answer as 8, but understands no question about plums."""

    name = "solved"

    def solve(self, question: str) -> str | None:
        return None if "plums" in question else "8"


class Ending:
    """Right if a text ends with the gold answer; a text that ends in no number is not scorable."""

    name = "ending"

    def __init__(self) -> None:
        self.asked: list[tuple[Example, str]] = []

    def score(self, example: Example, text: str) -> Score:
        self.asked.append((example, text))
        return self._judge(example, text)

    def _judge(self, example: Example, text: str) -> Score:
        given = text.rpartition("Answer: ")[2]
        wrong: Verdict = "wrong" if given.isdigit() else "unscorable"
        return Score(verdict="right" if given == example.answer else wrong, extracted=given)


class Together(Ending):
    """The same for many texts at once; it notes the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[tuple[Example, str]]] = []

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> Sequence[Score]:
        self.batches.append(list(pairs))
        return [self._judge(example, text) for example, text in pairs]


class Fixed(Ending):
    """Judges texts by a table of the words that they hold; anything else is wrong."""

    def __init__(self, **scores: Score) -> None:
        super().__init__()
        self._scores = scores

    def _judge(self, example: Example, text: str) -> Score:
        return next((score for word, score in self._scores.items() if word in text), Score(verdict="wrong"))


QUESTION = "Ann has 3 pears and buys 5 more. How many pears has she now?"
PROGRAM = "def twice(n):\n    return 2 * n\n\n\ndef thrice(n):\n    return 3 * n\n\n\ndef twice(n):\n    return n + n"
RIGHT = Score(verdict="right")


def draft(question: str = QUESTION, answer: str = "8", solution: str = "3 + 5 = 8", **more: object) -> Draft:
    given: dict[str, object] = {"assignment": "a", "diagnosis": "d", "index": 0, "task": "words"}
    return Draft(question=question, answer=answer, solution=solution, **(given | more))  # type: ignore[arg-type]


def program(**more: object) -> Draft:
    return draft("Write twice(n).", answer=PROGRAM, solution="Add it.", tests="check(twice)", **more)


def faults(item: Draft, evidence: Evidence | None = None, scorer: object = None) -> list[Refusal]:
    tasks = {"words": (Words(), scorer or Ending()), "solved": (Solved(), scorer or Ending())}
    known = Known(tasks=tasks, evidence=evidence or Evidence(trust_answers=True))  # type: ignore[arg-type]
    return list(find_faults(item, known))


def run(drafts: Sequence[Draft], scorer: object, evidence: Evidence | bool = True) -> list[Sample | Rejection]:
    tasks = {"words": (Words(), scorer), "solved": (Solved(), scorer)}
    return list(verify(drafts, tasks, Taken(0.8), Protected([], [], 8), evidence))  # type: ignore[arg-type]


def as_example(item: Draft, answer: str) -> Example:
    return Example(
        id=item.hash,
        task=item.task,
        split="train",
        question=item.question,
        answer=answer,
        choices=item.choices,
        tests=item.tests,
    )


@pytest.mark.parametrize(
    ("trust", "checks"),
    [
        (True, ("format", "leak", "doubt", "steps", "duplicates", "contamination")),
        (False, ("format", "leak", "doubt", "answer", "steps", "duplicates", "contamination")),
    ],
)
def test_a_sample_holds_all_that_the_draft_held_and_the_checks_that_it_passed(
    trust: bool, checks: tuple[str, ...]
) -> None:
    item = draft(task="solved", choices=("8", "9"), skill="sums", difficulty=3)
    sample = Sample(
        draft=item.hash,
        task="solved",
        question=QUESTION,
        answer="8",
        solution="3 + 5 = 8",
        choices=("8", "9"),
        skill="sums",
        difficulty=3,
        checks=checks,
    )
    assert run([item], Ending(), trust) == run([item], Ending(), Evidence(trust_answers=trust)) == [sample]


@pytest.mark.parametrize(
    ("answer", "others"),
    [("8", ("eight", "08")), ("eight", ("8", "08"))],
)
def test_a_sample_that_keeps_a_train_question_keeps_all_that_its_data_accept(
    answer: str, others: tuple[str, ...]
) -> None:
    kept = draft(answer=answer, writes="solution")
    source = replace(as_example(kept, "8"), id="q", accepted=("eight", "08"))
    scorer = Fixed(Answer=RIGHT)

    [found] = run([kept], scorer, Evidence(own={kept.hash: source}))

    assert isinstance(found, Sample)
    assert found.accepted == others
    varied = replace(kept, question="How many are 3 pears and 5?")
    [found] = run([varied], scorer, Evidence(own={varied.hash: source}, votes={varied.hash: [answer]}))
    assert isinstance(found, Sample)
    assert found.accepted == ()


def test_without_evidence_answers_are_not_trusted() -> None:
    tasks = {"words": (Words(), Ending())}
    found = list(verify([draft()], tasks, Taken(0.8), Protected([], [], 8)))
    assert [item.reason for item in found if isinstance(item, Rejection)] == ["unverifiable"]
    assert list(find_faults(draft(), Known(tasks=tasks))) != []


def test_a_rejection_names_the_first_fault_and_the_next_draft_is_checked_all_the_same() -> None:
    good, again, wrong = draft(), draft(index=1), draft(answer="9")
    held = Example(id="7", task="words", split="dev", question=QUESTION, answer="8")
    tasks = {"words": (Words(), Ending())}
    leak = draft(QUESTION + " The answer is 8.")

    def outcomes(protected: Protected) -> list[tuple[str, str]]:
        found = verify([leak, wrong, again, good], tasks, Taken(0.8), protected, True)
        return [(item.reason, item.detail) if isinstance(item, Rejection) else ("", item.answer) for item in found]

    assert outcomes(Protected([], [], 8)) == [
        ("leak", "The answer is 8."),
        ("", "9"),
        ("duplicate", QUESTION),
        ("duplicate", QUESTION),
    ]
    assert outcomes(Protected([held], [], 8))[1:] == [("contaminated", "words/dev/7: the whole question")] * 3
    rejection = run([leak], Ending())[0]
    assert rejection == Rejection(draft=leak.hash, task="words", reason="leak", detail="The answer is 8.")


def test_all_faults_of_a_draft_come_in_the_order_of_the_reasons() -> None:
    item = draft("Answer: 8", answer="9", solution="My mistake: 3 + 5 = 9", choices=("9", "9"))
    assert faults(item, Evidence()) == [
        Refusal("format", "two options are the same, or one is empty"),
        Refusal("leak", "Answer: 8"),
        Refusal("doubt", "My mistake: 3 + 5 = 9"),
        Refusal("unverifiable", "the task 'words' cannot recompute answers, and there are no blind votes"),
        Refusal("wrong_step", "3 + 5 = 9"),
    ]
    assert [fault.reason for fault in faults(item)] == ["format", "leak", "doubt", "wrong_step"]


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"question": " \n"}, "the question is empty"),
        ({"question": "", "solution": ""}, "the question is empty"),
        ({"solution": " "}, "the solution is empty"),
        ({"answer": " "}, "the answer is empty"),
        ({"tests": " "}, "the tests is empty"),
        ({"choices": ("8", " ")}, "two options are the same, or one is empty"),
        ({"choices": ("a  pear", "A\npear", "8")}, "two options are the same, or one is empty"),
        ({"choices": ("straße", "STRASSE")}, "two options are the same, or one is empty"),
    ],
)
def test_what_is_wrong_with_the_format(changed: dict[str, str], detail: str) -> None:
    assert faults(draft(**changed))[:1] == [Refusal("format", detail)]


def test_a_completion_that_states_another_number_is_malformed() -> None:
    scorer = Fixed(pears=RIGHT, **{"Answer: 8": Score(verdict="wrong", extracted="7")})
    assert faults(draft(), scorer=scorer) == [Refusal("format", "the completion states '7', the answer is '8'")]


def test_options_that_differ_in_a_word_are_two() -> None:
    assert faults(draft(choices=("a pear", "apear", "8"))) == []


def test_a_draft_with_tests_needs_no_answer() -> None:
    assert faults(program(), scorer=Fixed(Add=RIGHT)) == []
    assert faults(draft("Write it.", answer="", solution="Add it.", tests="check(it)"), scorer=Fixed(Add=RIGHT)) == []


def test_a_solution_that_fails_its_tests_says_why() -> None:
    failed = Score(verdict="wrong", evidence="line 2: AssertionError")
    assert faults(program(), scorer=Fixed(Add=failed)) == [
        Refusal("format", "the solution does not pass its own tests: line 2: AssertionError")
    ]
    assert faults(program(), scorer=Fixed()) == [Refusal("format", "the solution does not pass its own tests: wrong")]


def test_a_program_is_asked_for_neither_doubts_nor_steps_nor_votes() -> None:
    item = draft("Write it.", answer=PROGRAM, solution="My mistake: 1 + 1 = 3. Add it.", tests="check(twice)")
    assert faults(item, Evidence(), Fixed(Add=RIGHT)) == []


NOTHING = "def twice(*args, **kwargs):\n    return None\n\ndef thrice(*args, **kwargs):\n    return None"


def test_a_program_is_held_against_one_that_does_nothing_and_the_wrong_response() -> None:
    item, scorer = program(choices=("a", "b")), Fixed(Add=RIGHT)
    assert faults(item, Evidence(wrong={item.hash: "pass"}), scorer) == []
    example = as_example(item, PROGRAM)
    assert scorer.asked == [
        (example, f"Add it.|Answer: {PROGRAM}"),
        (example, f"|Answer: {NOTHING}"),
        (example, "pass"),
    ]


def test_tests_that_another_program_passes_are_weak() -> None:
    item = program()
    evidence = Evidence(wrong={item.hash: "pass"})
    nothing = Refusal("weak_tests", "a program that does nothing passes the tests")
    wrong = Refusal("weak_tests", "the wrong response passes the tests")
    assert faults(item, evidence, Fixed(**{"Add": RIGHT, "kwargs": RIGHT, "pass": RIGHT})) == [nothing]
    assert faults(item, evidence, Fixed(**{"Add": RIGHT, "pass": RIGHT})) == [wrong]
    assert faults(item, Evidence(wrong={"another": "pass"}), Fixed(**{"Add": RIGHT, "pass": RIGHT})) == []


def test_a_text_without_a_function_has_nothing_to_do_nothing() -> None:
    item, scorer = draft("Write it.", answer="print(8)", solution="Add it.", tests="check()"), Fixed(Add=RIGHT)
    assert faults(item, Evidence(), scorer) == []
    assert [text for _, text in scorer.asked] == ["Add it.|Answer: print(8)"]


@pytest.mark.parametrize(
    ("question", "answer", "found"),
    [
        (QUESTION, "8", []),
        (QUESTION, "9", [Refusal("wrong_answer", "'9' is stated, '8' recomputed")]),
        (
            "Ann has 8 plums. How many plums has she?",
            "8",
            [Refusal("unverifiable", "the question is not one that the task understands")],
        ),
    ],
)
def test_an_answer_is_recomputed(question: str, answer: str, found: list[Refusal]) -> None:
    item, scorer = draft(question, answer, task="solved", choices=("8", "9")), Ending()
    assert faults(item, Evidence(), scorer) == found
    own = (as_example(item, answer), f"3 + 5 = 8|Answer: {answer}")
    recomputed = (as_example(item, "8"), f"|Answer: {answer}")
    assert scorer.asked == ([own] if "plums" in question else [own, recomputed])


@pytest.mark.parametrize(
    ("votes", "reason", "detail"),
    [
        (["9", "8", "9"], "wrong_answer", "'8' is stated, 1 of 3 blind votes agree: '9', '8', '9'"),
        (["9", "8"], "unverifiable", "'8' is stated, 1 of 2 blind votes agree: '9', '8'"),
        (["9", "9", "8", "?"], "unverifiable", "'8' is stated, 1 of 4 blind votes agree: '9', '9', '8', '?'"),
        (["8", " ", ""], "unverifiable", "'8' is stated, 1 of 3 blind votes agree: '8', ' ', ''"),
        (["9" * 300], "wrong_answer", f"'8' is stated, 0 of 1 blind votes agree: '{'9' * 199}"),
    ],
)
def test_votes_that_do_not_agree_are_shown(votes: list[str], reason: str, detail: str) -> None:
    item, scorer = draft(task="solved"), Ending()
    assert faults(item, Evidence(votes={item.hash: votes}), scorer) == [Refusal(reason, detail)]
    given = [(as_example(item, "8"), f"|Answer: {vote}") for vote in votes if vote.strip()]
    assert scorer.asked[1:] == given, "an empty vote is not scored, and votes go before a solver"


def test_texts_are_scored_in_one_batch_a_task_and_only_once() -> None:
    plain, other, empty = draft(index=1), draft(task="solved"), draft(solution=" ", index=2)
    coded = program()
    evidence = Evidence(trust_answers=True, wrong={plain.hash: "ignored", coded.hash: "pass"})
    scorer = Together()
    found = run([plain, other, empty, coded], scorer, evidence)
    code = as_example(coded, PROGRAM)
    assert scorer.batches == [
        [
            (as_example(plain, "8"), "3 + 5 = 8|Answer: 8"),
            (code, f"Add it.|Answer: {PROGRAM}"),
            (code, f"|Answer: {NOTHING}"),
            (code, "pass"),
        ],
        [(as_example(other, "8"), "3 + 5 = 8|Answer: 8")],
    ]
    assert scorer.asked == []
    assert [type(item) for item in found] == [Sample, Rejection, Rejection, Sample]


def test_an_answer_that_is_written_otherwise_than_in_the_data_is_compared_in_the_batch() -> None:
    otherwise, same = (draft(answer=answer, writes="solution") for answer in ("8", "9"))
    wrong = draft(answer="10", writes="solution", index=1)
    source = as_example(same, "9")
    own = {item.hash: source for item in (otherwise, same, wrong)}

    class Near(Together):
        """Takes one less for right, too."""

        def _judge(self, example: Example, text: str) -> Score:
            given = int(text.rpartition("Answer: ")[2])
            return Score(verdict="right" if 0 <= int(example.answer) - given <= 1 else "wrong", extracted=str(given))

    scorer = Near()
    found = run([otherwise, same, wrong], scorer, Evidence(own=own))

    assert [type(item) for item in found] == [Sample, Sample, Rejection]
    assert (found[2].reason, found[2].detail) == ("wrong_answer", "'10' is stated, the data say '9'")  # type: ignore[union-attr]
    assert scorer.asked == []
    first, last = (f"3 + 5 = 8|Answer: {answer}" for answer in ("8", "10"))
    assert scorer.batches[0] == [
        (as_example(otherwise, "8"), first),
        (source, first),
        (source, "3 + 5 = 8|Answer: 9"),
        (as_example(wrong, "10"), last),
        (source, last),
    ]
    scorer = Near()
    assert isinstance(run([wrong], scorer, Evidence(own=own, trust_answers=True))[0], Sample)
    assert scorer.batches[0] == [(as_example(wrong, "10"), last)]


def test_a_batch_needs_one_score_a_text() -> None:
    class Short(Together):
        def score_all(self, pairs: Sequence[tuple[Example, str]]) -> Sequence[Score]:
            return super().score_all(pairs)[1:]

    with pytest.raises(ValueError, match="shorter"):
        run([draft()], Short())


def test_a_question_that_is_taken_is_named_as_it_was_first_written() -> None:
    taken = Taken(0.8, [QUESTION])
    taken.add(QUESTION.upper())
    longer = QUESTION.replace("now?", "now, Tom?")
    assert taken.clash(QUESTION.lower()) == Refusal("duplicate", QUESTION)
    assert taken.clash(longer) == Refusal("near_duplicate", QUESTION)
    assert Taken(1.0, [QUESTION]).clash(longer) is None
    taken.add(longer)
    assert taken.clash(longer.upper()) == Refusal("duplicate", longer)
    assert Taken(0.8).clash(QUESTION) is None


def held(place: str, question: str, answer: str, split: Split = "test") -> Example:
    return Example(id=place, task="words", split=split, question=question, answer=answer)


LONG = "On a cold market day in May she sold all her honey to Tom."


def test_a_held_out_question_is_named_with_what_is_shared() -> None:
    first, second = held("1", "How much is 2 and 7?", "5 Pears "), held("2", LONG, "1", "dev")
    protected = Protected([first, second, held("3", LONG, "1"), held("4", "Take 7 from 2.", "5 pears")], [], 8)

    def clash(question: str, answer: str = "x") -> str | None:
        refusal = protected.clash(question, answer)
        assert refusal is None or refusal.reason == "contaminated"
        return refusal and refusal.detail

    assert clash(LONG.upper()) == "words/dev/2: the whole question"
    assert clash("Then she sold all her honey to Tom, they said.") is None
    assert clash("In May she sold all her honey to Bob.") == "words/dev/2: 'in may she sold all her honey to'"
    assert clash("Is 7 more than 2, and by how much?", " 5 PEARS") == "words/test/1: the same numbers and answer"
    assert clash("Is 7 more than 2, and by how much?", "6 pears") is None
    assert clash("Is 7 more than 3, and by how much?", "5 pears") is None


def test_one_number_makes_no_calculation() -> None:
    assert Protected([held("1", "Half of 6 pears?", "3")], [], 8).clash("How many thirds of 6?", "3") is None
    assert Protected([held("1", "6 less 3 pears?", "3")], [], 8).clash("What is 3 from 6?", "3") is not None


def test_only_the_named_tasks_are_calculations() -> None:
    known = [held("1", "6 less 3 pears?", "3")]
    assert Protected(known, [], 8, {"words"}).clash("What is 3 from 6?", "3") is not None
    assert Protected(known, [], 8, {"solved"}).clash("What is 3 from 6?", "3") is None
    assert Protected(known, [], 8, ()).clash("What is 3 from 6?", "3") is None


def test_the_answers_of_calculations_are_compared_letter_by_letter() -> None:
    protected = Protected([held("1", "2 of 7: Masse?", "Masse")], [], 8)
    assert protected.clash("7, then 2: mass", "MASSE") is not None
    assert protected.clash("7, then 2: mass", "Maße") is None


def test_what_the_target_knows_is_rejected_last_and_only_if_the_question_is_new() -> None:
    fine, wrong, missed, kept = (draft(question=f"How many are {n} pears and {8 - n}?") for n in range(1, 5))
    wrong = replace(wrong, solution="", answer="")
    kept = replace(kept, writes="solution")
    answered: dict[str, Verdict] = dict.fromkeys((one.hash for one in (fine, wrong, kept)), "right")
    answered[missed.hash] = "unscorable"
    own = {kept.hash: as_example(kept, kept.answer)}

    found = run([fine, wrong, missed, kept], Ending(), Evidence(answered=answered, own=own, trust_answers=True))

    assert [getattr(one, "reason", "sample") for one in found] == ["known", "format", "sample", "sample"]
