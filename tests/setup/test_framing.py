"""The system message and the shots of a task: which, where, and for what."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from errorbook.config import Config, TaskSection, parse
from errorbook.errors import ConfigError, DataError
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import (
    Draft,
    Evaluation,
    Example,
    Lesson,
    Message,
    Response,
    Sample,
    Split,
    context_of,
    converse,
    digest,
    key_of,
    own_turns,
)
from errorbook.setup.assemble import create_scorer, create_task, select_sound
from errorbook.setup.gold import Sound
from errorbook.setup.plan import make_plan

RUN = """
[run]
name = "framed"
cycles = 1
seed = {seed}

[target]
engine = "scripted"
accuracy = 0.4
gain = 0.4

[instructor]
kind = "{instructor}"

[[tasks]]
name = "arithmetic"
train = 39
dev = 60
test = 20
{keys}

[strategy]
retriever = "scripted"

[train]
method = "scripted"
"""
KEYS = 'system = "Be brief."\nshots = 3'


def config(keys: str = KEYS, seed: int = 5, instructor: str = "tutor") -> Config:
    return parse(RUN.format(keys=keys, seed=seed, instructor=instructor))


def chosen(config: Config) -> Sound:
    [section] = config.tasks
    task = create_task(section)
    return select_sound(section, task, create_scorer(task.scorer, {}), config.run.seed)


def asked(sound: Sound) -> list[Example]:
    return [example for part in sound.examples.values() for example in part]


def test_every_question_comes_after_the_same_messages() -> None:
    sound = chosen(config())

    [before] = {example.before for example in asked(sound)}
    assert [one.role for one in before] == ["system", *["user", "assistant"] * 3]
    assert before[0].content == "Be brief."
    assert [one.shot for one in before] == [False, *[True] * 6]
    for shot, question, answer in zip(sound.shots, before[1::2], before[2::2], strict=True):
        assert shot.question in question.content
        assert shot.solution
        assert answer.content == f"{shot.solution}\nAnswer: {shot.answer}"


def test_shots_are_of_train_are_never_asked_and_depend_on_the_seed_alone() -> None:
    sound = chosen(config())

    assert {shot.split for shot in sound.shots} == {"train"}
    assert not {shot.question for shot in sound.shots} & {example.question for example in asked(sound)}
    assert chosen(config()).shots == sound.shots
    assert chosen(config('system = "Be kind."\nshots = 3')).shots == sound.shots
    assert chosen(config(seed=6)).shots != sound.shots


def test_questions_stay_the_same_with_shots_and_without() -> None:
    plain, shown = chosen(config("")), chosen(config("shots = 2"))

    assert [one.question for one in asked(plain)] == [one.question for one in asked(shown)]
    assert all(not one.before for one in asked(plain))
    assert plain.shots == ()


def rows(path: Path, lines: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def table(tmp_path: Path, keys: str, lines: list[dict[str, Any]], role: str = "learn") -> Config:
    path = rows(tmp_path / "own.jsonl", lines)
    block = f'kind = "jsonl"\npath = "{path}"\nrole = "{role}"\n{keys}'
    text = RUN.format(keys=block, seed=1, instructor="tutor").replace('name = "arithmetic"', 'name = "own"')
    if role == "guard":
        text += '[[tasks]]\nname = "arithmetic"\ntrain = 5\ndev = 5\n'
    return parse(text)


LINES = [
    {"question": f"What is {n} + {n}?", "answer": str(2 * n), "split": split}
    for n, split in enumerate(["train"] * 6 + ["dev"] * 3 + ["test"] * 2, 1)
]


def test_a_small_train_split_gives_its_last_questions(tmp_path: Path) -> None:
    sound = chosen(table(tmp_path, "shots = 2", LINES))

    assert len(sound.shots) == 2
    assert len(sound.examples["train"]) == 4
    assert asked(sound)[0].before[1].content.endswith(f"Answer: {sound.shots[0].answer}")


@pytest.mark.parametrize(
    ("keys", "said"), [("shots = 7", "has 6 train questions"), ("shots = 6", "shows all its train questions")]
)
def test_too_many_shots_are_refused(tmp_path: Path, keys: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        chosen(table(tmp_path, keys, LINES))


def test_a_question_that_is_asked_elsewhere_is_not_shown(tmp_path: Path) -> None:
    groups = [{**line, "group": "one" if place in (5, 7) else ""} for place, line in enumerate(LINES)]
    sound = chosen(table(tmp_path, 'group = "group"\nshots = 1', groups))

    assert [shot.question for shot in sound.shots] != ["What is 6 + 6?"]
    assert all(shot.group != "one" for shot in sound.shots)


GREETED = [
    {
        "talk": [
            {"role": "assistant", "content": f"Counter {n} is open."},
            {"role": "user", "content": "I buy in pairs."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": line["question"]},
        ],
        "answer": line["answer"],
        "split": line["split"],
    }
    for n, line in enumerate(LINES)
]


@pytest.mark.parametrize("system", ["", 'system = "Be brief."\n'])
def test_a_greeting_after_shots_is_not_a_second_answer_in_a_row(tmp_path: Path, system: str) -> None:
    keys = 'messages = "talk"\nanswer = "answer"\nscorer = "numeric"\n'
    plain = {one.id: one for one in asked(chosen(table(tmp_path, keys + system, GREETED)))}

    sound = chosen(table(tmp_path, f"{keys}{system}shots = 3", GREETED))

    for example in asked(sound):
        roles = [one.role for one in example.before if one.role != "system"]
        # Only the first greeting has nothing before it, so templates that want a user there are answered at rendering.
        assert roles == ["assistant", *["user", "assistant"] * 10]
        assert own_turns(example.before) == own_turns(plain[example.id].before)
        assert context_of(example.before) == context_of(plain[example.id].before)
        assert example.before[-4] == Message(role="user", content="", shot=True)


def test_without_shots_a_greeting_is_left_as_it_is(tmp_path: Path) -> None:
    keys = 'messages = "talk"\nanswer = "answer"\nscorer = "numeric"\nsystem = "Be brief."'

    for example in asked(chosen(table(tmp_path, keys, GREETED))):
        assert [one.role for one in example.before] == ["system", "assistant", "user", "assistant"]


def test_a_guard_without_train_questions_shows_dev_questions(tmp_path: Path) -> None:
    lines = [line for line in LINES if line["split"] != "train"]
    config = table(tmp_path, "shots = 1", lines, role="guard")
    section = next(task for task in config.tasks if task.name == "own")
    task = create_task(section)
    sound = select_sound(section.__class__(**{**_fields(section), "train": 0}), task, create_scorer("numeric", {}), 0)

    assert [shot.split for shot in sound.shots] == ["dev"]
    assert len(sound.examples["dev"]) == 2
    assert len(sound.examples["test"]) == 2


def _fields(section: Any) -> dict[str, Any]:
    return {name: getattr(section, name) for name in section.__struct_fields__}


def test_shots_have_bounds() -> None:
    with pytest.raises(ConfigError, match="shots"):
        config("shots = -1")
    with pytest.raises(ConfigError, match="system"):
        config("system = 3")


def test_a_run_asks_learns_and_teaches_after_the_same_messages(tmp_path: Path) -> None:
    run(config(), tmp_path)
    with open_ledger(tmp_path) as ledger:
        examples = {example.id: example for example in ledger.all(Example)}
        [before] = {example.before for example in examples.values()}
        task = create_task(config().tasks[0])
        for evaluation in ledger.all(Evaluation):
            for response in ledger.responses(evaluation):
                example = examples[response.example]
                assert response.prompt_hash == digest(key_of(converse(before, task.prompt(example.question))))
        places = [draft.before for draft in ledger.all(Draft)] + [sample.before for sample in ledger.all(Sample)]
        assert {*places, *(lesson.before for lesson in ledger.all(Lesson))} == {before}
        assert any(lesson.replay for lesson in ledger.all(Lesson))
        assert isinstance(next(iter(ledger.responses(next(iter(ledger.all(Evaluation)))))), Response)


def test_a_run_without_them_has_the_hashes_that_it_always_had() -> None:
    example = Example(id="1", task="t", split="dev", question="Q", answer="A")

    assert example.hash == "60f900a99192c5457977f84b68e33433"


def test_a_plan_shows_a_prompt_and_counts_what_is_read() -> None:
    served = RUN.format(keys=KEYS, seed=5, instructor="tutor")
    plan = make_plan(parse(served))

    [task] = plan.tasks
    assert task.prompt.startswith("[system]\nBe brief.\n\n[user]\n")
    assert task.prompt.count("[assistant]") == 3
    assert plan.read_tokens == plan.responses * task.prompt_tokens > 0
    assert make_plan(config("")).tasks[0].prompt == ""
    assert make_plan(config("")).read_tokens == 0


def test_a_plan_says_that_prompts_are_too_long_for_lessons() -> None:
    short = RUN.format(keys=KEYS, seed=5, instructor="tutor") + "max_tokens = 40\n"

    assert any("raise max_tokens" in warning for warning in make_plan(parse(short)).warnings)
    assert not any("raise max_tokens" in warning for warning in make_plan(config()).warnings)


def test_a_plan_renders_with_the_models_own_template() -> None:
    text = RUN.format(keys=KEYS, seed=5, instructor="tutor").replace('engine = "scripted"', 'engine = "transformers"')
    text = text.replace("accuracy = 0.4\ngain = 0.4\n", "").replace('method = "scripted"', 'method = "lora"')
    [task] = make_plan(parse(text)).tasks

    assert "<|im_start|>system\nBe brief.<|im_end|>" in task.prompt
    assert task.prompt.endswith("<|im_start|>assistant\n")
    assert 100 < task.prompt_tokens < 400


@pytest.mark.skipif("ERRORBOOK_DATA" not in os.environ, reason="ERRORBOOK_DATA does not name the reference data")
def test_bbh_is_asked_after_three_dev_questions() -> None:
    text = (
        RUN.format(keys="", seed=5, instructor="tutor")
        + '[[tasks]]\nname = "bbh"\nrole = "guard"\ntrain = 0\nshots = 3\n'
    )
    section = parse(text).guards()[0]
    task = create_task(section)
    sound = select_sound(section, task, create_scorer(task.scorer, {}), 5)

    assert len(sound.shots) == 3
    assert {shot.split for shot in sound.shots} == {"dev"}
    assert len(sound.examples["dev"]) == len(sound.examples["test"]) == 200
    assert {len(example.before) for example in asked(sound)} == {6}


class Weighing:
    """A task whose options are weighed by their likelihood."""

    name = "quiz"
    scorer = "choice"
    max_new_tokens = 8
    by_likelihood = True

    def __init__(self, by_likelihood: bool) -> None:
        self.by_likelihood = by_likelihood

    def examples(self, split: Split, n: int | None, seed: int) -> list[Example]:
        return [
            Example(
                id=f"{split}{n}", task="quiz", split=split, question=f"{split} {n}?", answer="B", choices=("x", "y")
            )
            for n in range(4)
        ][:n]

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        return question

    def completion(self, solution: str, answer: str) -> str:
        return f"Answer: {answer}"


@pytest.mark.parametrize(("by_likelihood", "shown"), [(True, "B"), (False, "Answer: B")])
def test_shots_of_weighed_options_show_the_letter_alone(by_likelihood: bool, shown: str) -> None:
    section = TaskSection(name="quiz", train=3, dev=2, test=2, shots=1)
    sound = select_sound(section, Weighing(by_likelihood), create_scorer("choice", {}), 0)

    assert {example.before[1].content for example in asked(sound)} == {shown}
    assert len(sound.examples["train"]) == 3
