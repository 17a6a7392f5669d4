"""Prompts of several messages: what is asked, hashed, rendered, sent, trained on and shown to the instructor."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import pytest
from msgspec.structs import replace
from template_kit import TEMPLATES, tokenizer_of

from errorbook.adapters.instructors.asking import (
    AskingSettings,
    build_answer_prompt,
    build_diagnose_prompt,
    build_write_prompt,
)
from errorbook.adapters.targets.answer_cache import AnswerFile
from errorbook.adapters.targets.conversation import render, write_exchange
from errorbook.adapters.targets.embedded import resolve
from errorbook.adapters.targets.loading import load_tokenizer
from errorbook.adapters.targets.remembered import Remembering
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.trainers.distilling import encode_own
from errorbook.adapters.trainers.exports import axolotl, llama_factory
from errorbook.adapters.trainers.preference import encode_pairs
from errorbook.llm.endpoint import Dialect
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.records import Ask
from errorbook.records import (
    Assignment,
    Checkpoint,
    Conversation,
    Diagnosis,
    Example,
    Generation,
    Lesson,
    Message,
    Mistake,
    Response,
    Score,
    converse,
    fold_system,
    key_of,
    last_question,
    messages_of,
    whole_question,
)
from errorbook.train import TrainSection

SYSTEM = Message(role="system", content="You are a clerk. Answer in Dutch.")
SHOT = (
    Message(role="user", content="What is 1 + 1?", shot=True),
    Message(role="assistant", content="Answer: 2", shot=True),
)
TURNS = (Message(role="user", content="I have 4 cows."), Message(role="assistant", content="Noted: 4 cows."))
BEFORE = (SYSTEM, *SHOT, *TURNS)


def test_a_prompt_without_anything_before_it_is_its_plain_text() -> None:
    assert converse((), "What?") == "What?"
    assert type(converse((), "What?")) is str
    assert messages_of("What?") == (Message(role="user", content="What?"),)
    assert key_of("What?") == last_question("What?") == "What?"


def test_a_conversation_reads_as_text_and_knows_its_messages() -> None:
    prompt = converse(BEFORE, "How many legs?")

    assert [one.role for one in messages_of(prompt)] == ["system", *["user", "assistant"] * 2, "user"]
    assert not any(one.shot for one in messages_of(prompt))
    assert last_question(prompt) == "How many legs?"
    for told in ("Answer in Dutch", "What is 1 + 1?", "Answer: 2", "Noted: 4 cows.", "How many legs?"):
        assert told in prompt
    assert prompt.endswith("User:\nHow many legs?\n\nAssistant:")
    assert converse((SYSTEM,), "How many?") == f"{SYSTEM.content}\n\nHow many?"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_conversation_survives_the_way_to_another_process(copied: Any) -> None:
    prompt = converse(BEFORE, "How many legs?")

    assert messages_of(copied(prompt)) == messages_of(prompt)
    assert copied(prompt) == prompt


def test_texts_that_read_alike_are_other_prompts(tmp_path: Path) -> None:
    told = converse((SYSTEM,), "What is 2 + 2?")
    plain = str.__str__(told)[:]
    assert told == plain
    assert key_of(told) != key_of(plain)

    target = Remembering(ScriptedTarget("m", accuracy=1.0), AnswerFile(tmp_path / "answers.sqlite"))
    target.use(Checkpoint(base="m", base_fingerprint="f"), tmp_path)
    settings = Generation(max_new_tokens=8)
    [first] = target.generate([told], settings)
    [second] = target.generate([str(plain) + ""], settings)
    assert first.prompt_hash != second.prompt_hash
    assert first.text == "Answer: 4"


def test_comparing_looks_at_the_questions_own_turns_alone() -> None:
    assert whole_question(BEFORE, "How many legs?") == "I have 4 cows.\nNoted: 4 cows.\nHow many legs?"
    assert whole_question((SYSTEM, *SHOT), "How many?") == "How many?"


class Templated:
    """A tokenizer with nothing but a chat template, rendered as transformers does it."""

    name_or_path = "templated"
    eos_token = "</s>"
    all_special_tokens: Sequence[str] = ()

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def get_chat_template(self) -> str:
        return self.chat_template

    def get_added_vocab(self) -> dict[str, int]:
        return {}

    def apply_chat_template(self, messages: Sequence[dict[str, str]], **given: Any) -> str:
        def refuse(why: str) -> str:
            raise jinja2.TemplateError(why)

        made = jinja2.Environment().from_string(self.chat_template)
        return made.render(messages=messages, raise_exception=refuse, **given)


CHATML = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}<assistant>"
REFUSING = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
DROPPING = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"


def test_a_template_writes_every_message() -> None:
    assert render(Templated(CHATML), converse((SYSTEM, *TURNS), "Legs?")) == (
        f"<system>{SYSTEM.content}</system><user>I have 4 cows.</user><assistant>Noted: 4 cows.</assistant>"
        "<user>Legs?</user><assistant>"
    )


@pytest.mark.parametrize("template", [REFUSING, DROPPING])
def test_a_template_without_system_messages_has_it_in_the_first_turn_of_the_user(template: str) -> None:
    text = render(Templated(template), converse((SYSTEM, *TURNS), "Legs?"))

    assert text.startswith(f"<user>{SYSTEM.content}\n\nI have 4 cows.</user>")
    assert text.count(SYSTEM.content) == 1


def test_a_model_without_a_template_reads_the_text() -> None:
    assert render(Templated(""), converse((SYSTEM,), "Legs?")) == f"{SYSTEM.content}\n\nLegs?\n"
    assert render(Templated(""), converse(TURNS, "Legs?")).endswith("User:\nLegs?\n\nAssistant:\n")
    assert render(Templated(""), "Legs?") == "Legs?\n"


ENDPOINT = OpenAIChat("m", "http://localhost:1/v1")


def sent(ask: Ask, **dialect: Any) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = msgspec.json.decode(ENDPOINT.build(ask, Dialect(**dialect)).body)["messages"]
    return messages


def test_served_targets_are_sent_the_messages() -> None:
    ask = Ask(messages=messages_of(converse(BEFORE, "Legs?")))

    assert [turn["role"] for turn in sent(ask)] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert all(set(turn) == {"role", "content"} for turn in sent(ask))
    assert sent(ask, system=False)[0] == {"role": "user", "content": f"{SYSTEM.content}\n\nWhat is 1 + 1?"}


@pytest.mark.parametrize(
    "said",
    [
        "System role not supported",
        "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "This model does not accept a system message: not supported.",
    ],
)
def test_a_server_that_takes_no_system_message_is_sent_it_with_the_question(said: str) -> None:
    ask, refusal = Ask(messages=messages_of(converse((SYSTEM,), "Legs?"))), msgspec.json.encode({"error": said})

    assert ENDPOINT.adapt(Dialect(), refusal, ask) == Dialect(system=False)
    assert ENDPOINT.adapt(Dialect(system=False), refusal, ask) is None
    assert ENDPOINT.adapt(Dialect(), refusal, Ask(messages=messages_of("Legs?"))) is None


def test_folding_keeps_everything_and_leaves_other_conversations_alone() -> None:
    assert fold_system(messages_of("Legs?")) == messages_of("Legs?")
    assert fold_system((SYSTEM, *TURNS))[1:] == TURNS[1:]


RECIPE = TrainSection().recipe(0)
GREETING = Message(role="assistant", content="Hello, what is it?")
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + CHATML
)


def test_a_conversation_may_begin_with_the_assistants_greeting() -> None:
    greeted = f"<assistant>{GREETING.content}</assistant><user>Legs?</user><assistant>"
    told = converse((SYSTEM, GREETING), "Legs?")

    assert render(Templated(CHATML), converse((GREETING,), "Legs?")) == greeted
    assert render(Templated(ALTERNATING), converse((GREETING,), "Legs?")) == f"<user></user>{greeted}"
    for template in (ALTERNATING, REFUSING, DROPPING):
        assert render(Templated(template), told).startswith(f"<user>{SYSTEM.content}</user><assistant>Hello")
    assert [one.role for one in fold_system(messages_of(told))] == ["user", "assistant", "user"]
    lesson = Lesson(prompt="Legs?", completion="16", source="s", before=(SYSTEM, GREETING))
    [row] = msgspec.json.decode(llama_factory([lesson], RECIPE, "m")["lessons.json"])
    assert row["history"] == [["", GREETING.content]]


LESSON = Lesson(prompt="Legs?", completion="16", source="s", before=BEFORE, rejected="4")


def test_lessons_for_other_trainers_keep_system_and_turns() -> None:
    [row] = msgspec.json.decode(llama_factory([LESSON], RECIPE, "m")["lessons.json"])
    columns = msgspec.json.decode(llama_factory([LESSON], RECIPE, "m")["dataset_info.json"])["errorbook"]["columns"]
    assert (row["system"], row["instruction"], row["output"]) == (SYSTEM.content, "Legs?", "16")
    assert row["history"] == [["What is 1 + 1?", "Answer: 2"], ["I have 4 cows.", "Noted: 4 cows."]]
    assert {"system", "history"} <= set(columns)

    chat = msgspec.json.decode(axolotl([LESSON], RECIPE, "m")["lessons.jsonl"])
    assert [turn["role"] for turn in chat["messages"]] == ["system", *["user", "assistant"] * 3]
    preferring = axolotl([LESSON], TrainSection(objective="dpo").recipe(0), "m")["lessons.jsonl"]
    assert msgspec.json.decode(preferring)["messages"][0]["content"] == SYSTEM.content


def test_lessons_without_them_are_written_as_before() -> None:
    plain = Lesson(prompt="Legs?", completion="16", source="s")
    columns = msgspec.json.decode(llama_factory([plain], RECIPE, "m")["dataset_info.json"])["errorbook"]["columns"]

    assert set(columns) == {"prompt", "query", "response"}
    assert plain.asked == "Legs?"


def example(id: str = "a", before: tuple[Message, ...] = BEFORE, **given: Any) -> Example:
    return Example(id=id, task="t", split="train", question="How many legs?", answer="16", before=before, **given)


def mistake(of: Example) -> Mistake:
    response = Response(
        evaluation="e",
        example=of.id,
        task="t",
        split="train",
        prompt_hash="p",
        text="Four.",
        tokens=1,
        truncated=False,
        score=Score(verdict="wrong"),
    )
    return Mistake(example=of, response=response, strategy="error")


DIAGNOSIS = Diagnosis(
    response="r", example="a", task="t", strategy="error", error_kind="k", misconception="m", skill="s"
)


def said(prompt: Any) -> str:
    text: str = prompt.ask.messages[-1].content
    return text


def test_the_instructor_sees_system_and_turns_but_not_the_shots() -> None:
    assignment = Assignment(task="t", index=0, count=1, mistake=mistake(example()), diagnosis=DIAGNOSIS)
    settings = AskingSettings()
    for prompt in (
        build_diagnose_prompt(mistake(example()), settings),
        build_write_prompt(assignment, settings),
        build_answer_prompt(example(), 0, settings),
    ):
        assert SYSTEM.content in said(prompt)
        assert "Noted: 4 cows." in said(prompt)
        assert "What is 1 + 1?" not in said(prompt)
    assert "last message of the conversation" in said(build_write_prompt(assignment, settings))
    assert "stands by itself" not in said(build_write_prompt(assignment, settings))


def test_the_instructor_is_asked_as_ever_if_nothing_stands_before() -> None:
    plain = Assignment(task="t", index=0, count=1, mistake=mistake(example(before=())), diagnosis=DIAGNOSIS)
    text = said(build_write_prompt(plain, AskingSettings()))

    assert "stands by itself" in text
    assert "system message" not in text
    assert "conversation" not in text


def test_new_questions_come_after_what_the_mistake_came_after() -> None:
    one = Assignment(task="t", index=0, count=1, mistake=mistake(example()), diagnosis=DIAGNOSIS)
    other = example(
        "b", (SYSTEM, *SHOT, Message(role="user", content="Hi."), Message(role="assistant", content="Yes?"))
    )
    undirected = Assignment(task="t", index=0, count=1, exemplars=(example(), other))

    assert one.before == BEFORE
    assert undirected.before == (SYSTEM, *SHOT)
    text = said(build_write_prompt(undirected, AskingSettings()))
    assert "I have 4 cows.\nNoted: 4 cows.\nHow many legs?" in text
    assert SYSTEM.content in text
    assert isinstance(converse(undirected.before, "x"), Conversation)


def test_what_exemplars_share_ends_where_the_user_can_ask() -> None:
    asked = Message(role="user", content="I have 4 cows.")
    other = (SYSTEM, *SHOT, asked, Message(role="assistant", content="Do they give milk?"))
    twice = (SYSTEM, asked, asked, Message(role="assistant", content="You said so."))

    def shared(*before: tuple[Message, ...]) -> tuple[Message, ...]:
        found = tuple(example(str(place), one) for place, one in enumerate(before))
        return Assignment(task="t", index=0, count=1, exemplars=found).before

    assert shared(BEFORE, other) == (SYSTEM, *SHOT)
    assert shared(TURNS, (asked, other[-1])) == ()
    assert shared(twice, (SYSTEM, asked, asked)) == (SYSTEM,)
    assert shared(BEFORE, (*BEFORE, asked, GREETING)) == BEFORE
    # One question by itself is asked again as it is.
    assert shared((SYSTEM, asked)) == shared((SYSTEM, asked), (SYSTEM, asked)) == (SYSTEM, asked)
    assert render(Templated(ALTERNATING), converse(shared(BEFORE, other), "How many?")).endswith(
        "<assistant>Answer: 2</assistant><user>How many?</user><assistant>"
    )


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_templates_of_real_models_write_whole_conversations(template: Path) -> None:
    tokenizer = tokenizer_of(template)
    for before in (BEFORE, (SYSTEM, *SHOT), TURNS, (SYSTEM, GREETING), (GREETING, *TURNS)):
        prompt = converse(before, "How many legs?")
        text, lesson = write_exchange(tokenizer, prompt, "Zestien.")
        assert text == render(tokenizer, prompt)
        assert [one.content for one in before if one.content not in text] == []
        assert text.rindex("How many legs?") > max(text.rindex(one.content) for one in before if one.role != "system")
        assert "Zestien." in lesson
        assert "How many legs?" not in lesson


def test_lessons_are_trained_after_what_the_question_is_asked_after() -> None:
    tokenizer = load_tokenizer(resolve("smollm2-135m-instruct"))
    [row], [rejected], _ = encode_pairs(tokenizer, [LESSON], 512)
    own, _ = encode_own(tokenizer, [replace(LESSON, context="Known: 16. Legs?")], 512, frozenset({2}))

    asked = render(tokenizer, LESSON.asked)
    assert rejected is not None
    for one, answer in ((row, "16"), (rejected, "4")):
        assert tokenizer.decode(one.ids[: one.prompt]) == asked
        assert tokenizer.decode(one.ids[one.prompt :]).startswith(answer)
    assert [tokenizer.decode(ids) for ids in own.asked] == [asked]
    assert all(message.content in tokenizer.decode(own.shown[0]) for message in BEFORE)
