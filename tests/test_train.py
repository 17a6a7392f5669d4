"""The stage of training: what a lesson holds, how much is rehearsed and from where, what is preferred to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import pytest
from msgspec.structs import replace

from errorbook.adapters.scorers.exact import Exact
from errorbook.adapters.tasks.arithmetic import Arithmetic
from errorbook.errors import StageError
from errorbook.interfaces import Task
from errorbook.records import (
    Diagnosis,
    Draft,
    Example,
    Lesson,
    Marked,
    Message,
    Response,
    Sample,
    Score,
    Split,
    Verdict,
    digest,
)
from errorbook.train import (
    Known,
    list_known,
    make_lessons,
    make_own_lessons,
    make_preference_lessons,
    make_question,
    prefer_over_wrong,
    show_teacher,
    training_set_hash,
)


class WithOptions(Arithmetic):
    """Arithmetic that shows the options of a question, so that a prompt without them is another one."""

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        return " / ".join([question, *choices])


TASKS: dict[str, Task] = {"arithmetic": WithOptions()}
PLAIN = [Lesson(prompt=f"Add {n} and 3.", completion=f"Answer: {n + 3}", source=f"p{n}") for n in range(4)]
SAMPLES = [
    Sample(
        draft=f"d{n}",
        task="arithmetic",
        question=f"{n} + 1?",
        answer=str(n + 1),
        solution=f"{n} + 1 = {n + 1}",
        choices=("one", "another"),
    )
    for n in range(6)
]


def answered(split: Split = "train", verdict: Verdict = "wrong", **changes: object) -> tuple[Example, Marked]:
    """A question and the target's response to it, as the loop has them."""
    example = Example(
        id="q", task="arithmetic", split=split, question="1 + 1?", answer="2", solution="1 + 1 = 2", skill="addition"
    )
    response = Response(
        evaluation="e",
        example="q",
        task="arithmetic",
        split=split,
        prompt_hash="p",
        text=" I say 3.\n",
        tokens=4,
        truncated=False,
        score=Score(verdict=verdict),
    )
    replaced = {name: value for name, value in changes.items() if name in Response.__struct_fields__}
    asked = {name: value for name, value in changes.items() if name in Example.__struct_fields__ and name != "split"}
    return replace(example, **asked), Marked(response=replace(response, **replaced), verdict=verdict)


def known(skill: str, number: int, choices: tuple[str, ...] = ()) -> tuple[Example, Marked]:
    """A question of a skill that the target answered right, and its own response."""
    asked, text = f"{number} and {number}?", f" My way {number}.\n"
    example, answer = answered(verdict="right", skill=skill, question=asked, choices=choices, text=text, example=skill)
    return replace(example, id=f"{skill}-{number}"), answer


def skills(lessons: Sequence[Lesson], rehearsal: Sequence[tuple[Example, Marked]]) -> Counter[str]:
    """How many replayed lessons come from each skill."""
    by_hash = {answer.response.hash: example.skill for example, answer in rehearsal}
    return Counter(by_hash[lesson.source] for lesson in lessons if lesson.replay)


def test_each_sample_makes_a_lesson_in_the_words_of_its_task() -> None:
    lessons = make_lessons(SAMPLES, [], TASKS, replay=0.0, seed=1)

    task = TASKS["arithmetic"]
    assert [lesson.source for lesson in lessons] == [sample.hash for sample in SAMPLES]
    assert lessons[2].prompt == task.prompt("2 + 1?", ("one", "another"))
    assert lessons[2].completion == task.completion("2 + 1 = 3", "3")
    assert not any(lesson.replay or lesson.rejected for lesson in lessons)


def test_without_a_sample_there_is_nothing_to_train_on() -> None:
    with pytest.raises(StageError, match=r"^There is no verified sample to train on; see the rejections"):
        make_lessons([], [known("addition", 1)], TASKS, replay=0.5, seed=1)


@pytest.mark.parametrize(("replay", "rehearsed"), [(0.0, 0), (0.15, 1), (0.25, 2), (0.4, 4), (0.5, 6)])
def test_so_much_is_rehearsed_that_it_is_its_share_of_all_lessons(replay: float, rehearsed: int) -> None:
    rehearsal = [known(skill, number) for skill in ("addition", "division") for number in range(20)]

    lessons = make_lessons(SAMPLES, rehearsal, TASKS, replay, seed=1)

    assert [lesson.replay for lesson in lessons] == [False] * len(SAMPLES) + [True] * rehearsed
    assert all(lesson.rejected == "" for lesson in lessons)


def test_what_is_rehearsed_is_the_targets_own_response_to_the_tasks_prompt() -> None:
    pair = known("addition", 7, ("14", "15"))

    replayed = make_lessons(SAMPLES, [pair], TASKS, replay=0.5, seed=1)[-1]

    assert replayed == Lesson(
        prompt=TASKS["arithmetic"].prompt("7 and 7?", ("14", "15")),
        completion="My way 7.",
        source=pair[1].response.hash,
        replay=True,
    )


def test_skills_are_rehearsed_evenly_however_many_questions_each_has() -> None:
    rehearsal = [
        *(known("easy", number) for number in range(50)),
        *(known("hard", number) for number in range(2)),
        *(known("medium", number) for number in range(10)),
    ]

    assert skills(make_lessons(SAMPLES, rehearsal, TASKS, 0.5, seed=1), rehearsal) == {
        "easy": 2,
        "hard": 2,
        "medium": 2,
    }
    more = make_lessons(SAMPLES * 2, rehearsal, TASKS, 0.5, seed=1)
    assert skills(more, rehearsal) == {"easy": 5, "hard": 2, "medium": 5}


def test_the_same_skill_of_two_tasks_counts_as_two() -> None:
    tasks: dict[str, Task] = {"arithmetic": Arithmetic(), "other": Arithmetic()}
    rehearsal = [known("addition", number) for number in range(9)]
    others = [known("addition", number) for number in range(20, 29)]
    rehearsal += [(replace(example, task="other"), answer) for example, answer in others]

    lessons = make_lessons(SAMPLES, rehearsal, tasks, 0.5, seed=1)

    first = {answer.response.hash for _, answer in rehearsal[:9]}
    assert Counter(lesson.source in first for lesson in lessons if lesson.replay) == {True: 3, False: 3}


def test_the_draw_depends_on_the_seed_alone_and_takes_nothing_twice() -> None:
    rehearsal = [known("addition", number) for number in range(30)]

    def drawn(seed: int) -> list[str]:
        return [lesson.source for lesson in make_lessons(SAMPLES, rehearsal, TASKS, 0.5, seed) if lesson.replay]

    assert drawn(1) == drawn(1)
    assert len({*drawn(1)}) == 6
    assert len({tuple(sorted(drawn(seed))) for seed in range(8)}) > 4


@pytest.mark.parametrize("changes", [{"verdict": "wrong"}, {"verdict": "unscorable"}, {"truncated": True}], ids=str)
def test_only_finished_right_responses_are_rehearsed(changes: dict[str, object]) -> None:
    example, answer = known("addition", 1)
    cut = replace(answer.response, truncated=True)
    other = replace(answer, **changes) if "verdict" in changes else replace(answer, response=cut)

    replayed = [lesson for lesson in make_lessons(SAMPLES, [(example, other)], TASKS, 0.5, 1) if lesson.replay]

    assert replayed == []
    assert any(lesson.replay for lesson in make_lessons(SAMPLES, [(example, answer)], TASKS, 0.5, 1))


def test_fewer_known_answers_than_wanted_are_all_rehearsed() -> None:
    rehearsal = [known("addition", 1), known("division", 2)]

    assert skills(make_lessons(SAMPLES, rehearsal, TASKS, 0.9, 1), rehearsal) == {"addition": 1, "division": 1}


def test_a_sample_becomes_a_question_from_train() -> None:
    assert make_question(SAMPLES[3]) == Example(
        id=SAMPLES[3].hash,
        task="arithmetic",
        split="train",
        question="3 + 1?",
        answer="4",
        choices=("one", "another"),
    )


def test_a_sample_as_a_question_is_right_by_every_answer_that_it_accepts() -> None:
    sample = replace(SAMPLES[2], answer="Danzig", accepted=("Gdansk",), choices=())

    said = [Exact().score(make_question(sample), f"Answer: {city}").verdict for city in ("Danzig", "Gdansk", "Sopot")]

    assert said == ["right", "right", "wrong"]


def test_a_set_of_lessons_is_its_lessons_in_their_order() -> None:
    assert training_set_hash(PLAIN) == digest(*(lesson.hash for lesson in PLAIN))
    assert len({training_set_hash(lessons) for lessons in (PLAIN, PLAIN[::-1], PLAIN[:3], [])}) == 4


def test_a_wrong_response_with_a_known_solution_makes_a_pair() -> None:
    task = TASKS["arithmetic"]
    example, answer = answered(choices=("2", "3"))

    (lesson,) = make_preference_lessons([(example, answer)], {"arithmetic": task})

    assert lesson.prompt == task.prompt(example.question, ("2", "3"))
    assert lesson.completion == task.completion("1 + 1 = 2", "2")
    assert lesson.rejected == "I say 3."
    assert lesson.source == answer.response.hash
    assert not lesson.replay


@pytest.mark.parametrize(
    "pair",
    [
        answered(verdict="right"),
        answered(verdict="unscorable"),
        answered(truncated=True),
        answered(solution=""),
        answered(text=" \n"),
    ],
    ids=["right", "unscorable", "cut off", "no solution", "empty"],
)
def test_what_is_not_surely_wrong_or_cannot_be_corrected_makes_none(pair: tuple[Example, Marked]) -> None:
    assert make_preference_lessons([pair], {"arithmetic": Arithmetic()}) == []


@pytest.mark.parametrize("split", ["dev", "test"])
def test_only_train_is_learnt_from(split: Split) -> None:
    held, train = answered(split), answered()

    for pair in (held, (train[0], held[1]), (held[0], train[1])):
        with pytest.raises(StageError, match="only train questions"):
            make_preference_lessons([pair], {"arithmetic": Arithmetic()})


def test_samples_are_paired_by_their_source_and_replay_is_left_alone() -> None:
    replayed = replace(PLAIN[1], replay=True)

    lessons = prefer_over_wrong(
        [PLAIN[0], replayed, PLAIN[2]], {PLAIN[0].source: " Wrong.\n", replayed.source: "Wrong, too."}
    )

    assert [lesson.rejected for lesson in lessons] == ["Wrong.", "", ""]
    assert lessons[1:] == [replayed, PLAIN[2]]


DIAGNOSIS = Diagnosis(
    response="r",
    example="q",
    task="arithmetic",
    strategy="error",
    error_kind="carry",
    misconception="The carry was forgotten.",
    skill="addition",
)


def test_every_question_that_is_not_answered_right_is_one_to_learn_from_oneself() -> None:
    pairs = [
        answered(),
        answered(verdict="unscorable", question="2 + 2?"),
        answered(verdict="wrong", question="3 + 3?", truncated=True),
        answered(verdict="right", question="4 + 4?"),
        answered(verdict="wrong", question="5 + 5?", solution="", answer=""),
    ]

    lessons = make_own_lessons(pairs, TASKS)

    assert [lesson.prompt for lesson in lessons] == ["1 + 1?", "2 + 2?", "3 + 3?"]
    assert lessons[0].completion == TASKS["arithmetic"].completion("1 + 1 = 2", "2")
    assert lessons[0].source == pairs[0][1].response.hash
    assert not any(lesson.replay or lesson.rejected or lesson.context for lesson in lessons)
    again = [replace(lessons[0], completion="Another solution."), replace(lessons[1], replay=True)]
    assert make_own_lessons(pairs, TASKS, again) == lessons[1:]


def after(*said: str) -> tuple[Message, ...]:
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    return tuple(Message(role=roles[place % 2], content=text) for place, text in enumerate(said))


HIRED, SOLD = after("I hired 3 bikes.", "For how long?"), after("I sold 3 bikes.", "At what price?")


def test_the_same_words_after_another_conversation_are_another_question_to_learn() -> None:
    [hired] = make_own_lessons([answered(question="And then?", before=HIRED)], TASKS)

    pairs = [answered(question="And then?", before=before) for before in (SOLD, (), HIRED)]

    assert [lesson.before for lesson in make_own_lessons(pairs, TASKS, [hired])] == [SOLD, ()]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_only_train_is_learnt_from_oneself(split: Split) -> None:
    with pytest.raises(StageError, match=f"is from {split}"):
        make_own_lessons([answered(split)], TASKS)


def test_what_is_known_comes_from_the_diagnosis_that_a_question_or_a_draft_has() -> None:
    pair = answered()
    answer = pair[1]
    own = replace(DIAGNOSIS, response=answer.response.hash)
    draft = Draft(
        assignment="a", diagnosis=own.hash, index=0, task="arithmetic", question="q", answer="1", solution="s"
    )
    sample = replace(SAMPLES[0], draft=draft.hash)

    found = list_known([sample, SAMPLES[1]], [pair], TASKS, [draft], [DIAGNOSIS, own])

    cap = TASKS["arithmetic"].max_new_tokens
    assert found == {
        sample.hash: Known(cap, own),
        SAMPLES[1].hash: Known(cap, None),
        answer.response.hash: Known(cap, own),
    }


def test_the_teacher_reads_the_solution_and_the_diagnosis_before_the_prompt_itself() -> None:
    replay = Lesson(prompt="Say yes.", completion="Yes.", source="r", replay=True)
    known_of = {lesson.source: Known(40, DIAGNOSIS if lesson.source == "p1" else None) for lesson in PLAIN}

    shown = show_teacher([*PLAIN, replay], known_of | {"r": Known(9)}, "own", 1)

    assert [lesson.source for lesson in shown] == ["p0", "p1", "p2", "p3", "r"]
    for lesson, before in zip(shown[:4], PLAIN, strict=True):
        assert lesson.context.endswith(f"\n\n{before.prompt}")
        assert before.completion in lesson.context
        assert (DIAGNOSIS.misconception in lesson.context) is (lesson.source == "p1")
        assert replace(lesson, context="", max_new_tokens=0) == before
    assert [lesson.max_new_tokens for lesson in shown] == [40, 40, 40, 40, 9]
    assert not shown[4].context


def test_the_control_shows_the_solution_of_another_question() -> None:
    known_of = {lesson.source: Known(40) for lesson in PLAIN}
    twice = replace(PLAIN[0], source="again", completion="The same question in other words.")

    shown = show_teacher([*PLAIN, twice], known_of | {"again": Known(40)}, "unrelated", 1)

    answers = {lesson.source: lesson.completion for lesson in [*PLAIN, twice]}
    for lesson in shown:
        seen = [source for source, text in answers.items() if text in lesson.context]
        assert len(seen) == 1
        other = next(one for one in [*PLAIN, twice] if one.source == seen[0])
        assert other.prompt != lesson.prompt
        assert other.prompt in lesson.context
        assert lesson.context.endswith(lesson.prompt)
    assert shown == show_teacher([*PLAIN, twice], known_of | {"again": Known(40)}, "unrelated", 1)
    assert shown != show_teacher([*PLAIN, twice], known_of | {"again": Known(40)}, "unrelated", 2)
    with pytest.raises(StageError, match="set context = 'own'"):
        show_teacher([PLAIN[0], twice], known_of | {"again": Known(40)}, "unrelated", 1)


def test_the_control_may_show_the_same_words_of_another_conversation_with_its_turns() -> None:
    system = (Message(role="system", content="Be brief."),)
    hired = Lesson(prompt="And then?", completion="Answer: 9", source="h", before=(*system, *HIRED))
    sold = Lesson(prompt="And then?", completion="Answer: 7", source="s", before=(*system, *SOLD))
    known_of = {"h": Known(40), "s": Known(40)}

    for lesson, other in zip(show_teacher([hired, sold], known_of, "unrelated", 3), (sold, hired), strict=True):
        turns = "User:\n{}\n\nAssistant:\n{}".format(*(message.content for message in other.before[1:]))
        assert f"{turns}\n\nUser:\nAnd then?\n\nAssistant:\n\n{other.completion}" in lesson.context
        assert not any(message.content in lesson.context for message in lesson.before)
    # What stands before the lesson itself is read anyway.
    for lesson in show_teacher([hired, sold], known_of, "own", 3):
        assert f"checked:\n\nAnd then?\n\n{lesson.completion}" in lesson.context
    with pytest.raises(StageError, match="set context = 'own'"):
        show_teacher([hired, replace(hired, source="s")], known_of, "unrelated", 3)
