"""What is asked and taught is what the chat template writes: for the real ones of the reference data, and for broken
ones. Every lesson closes a thought that its prompt has opened, and ends with the token that ends a turn."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from template_kit import TEMPLATES, tokenizer_of

from errorbook.adapters.targets import conversation, loading
from errorbook.adapters.targets.conversation import Thinking, Turn, end_of_turn, frame_answer, render, write_exchange
from errorbook.adapters.targets.transformers import completion_of, end_tokens, stops_at
from errorbook.adapters.trainers.batches import encode_row
from errorbook.checks.thoughts import find_opening, tell_apart
from errorbook.errors import ModelError
from errorbook.records import digest

QUESTION, ANSWER = "How much is 17 + 25?", "17 + 25 = 42\nAnswer: 42"
MODES: tuple[Thinking, ...] = ("off", "on", "auto")
SYSTEMS: dict[str, tuple[Turn, ...]] = {"alone": (), "system": (("system", "Be brief and exact."),)}
TURN_ENDS = {
    "Apertus": "<|assistant_end|>",
    "GLM": "<|user|>",
    "Nemotron": "<SPECIAL_12>",
    "deepseek": "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "gemma-2": "<end_of_turn>",
    "gemma-4": "<turn|>",
    "granite": "<|end_of_text|>",
    "gpt-oss": "<|return|>",
    "llm-jp": "<|return|>",
    "Llama-3": "<|eot_id|>",
    "Phi": "<|end|>",
    "istral": "</s>",
}
NEEDS = pytest.mark.skipif(not TEMPLATES, reason="needs the reference data; set ERRORBOOK_DATA to its folder")
REAL = pytest.mark.parametrize("template", TEMPLATES, ids=[path.stem for path in TEMPLATES])

THINKING = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == 'assistant' and message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
<think>
{% endif -%}
"""


def write_lesson(
    tokenizer: Any, prompt: str, completion: str, thinking: Thinking = "off", before: tuple[Turn, ...] = ()
) -> str:
    asked, lesson = write_exchange(tokenizer, prompt, completion, thinking, before)
    assert asked == render(tokenizer, prompt, thinking, before)
    return lesson


def written(tokenizer: Any, turns: list[dict[str, str]], thinking: Thinking, **options: Any) -> str:
    """What transformers makes of the conversation by itself, on the day of our prompts."""
    switches = conversation.SWITCHES[thinking]
    template = tokenizer.chat_template.replace("strftime_now", "no_clock")
    template = "{%- macro no_clock(f) -%}{{- f.replace('%Y', '2025').replace('%m', '01').replace('%d', '01')" + (
        ".replace('%B', 'January').replace('%b', 'Jan') -}}{%- endmacro -%}" + template
    )
    text: str = tokenizer.apply_chat_template(
        turns, tokenize=False, chat_template=template, date_string=conversation.TODAY, **switches, **options
    )
    return text


@NEEDS
@REAL
@pytest.mark.parametrize("thinking", MODES)
@pytest.mark.parametrize("told", SYSTEMS)
def test_a_real_template_asks_and_teaches_in_its_own_form(template: Path, thinking: Thinking, told: str) -> None:
    tokenizer, before = tokenizer_of(template), SYSTEMS[told]

    asked = render(tokenizer, QUESTION, thinking, before)
    lesson = write_lesson(tokenizer, QUESTION, ANSWER, thinking, before)
    row = encode_row(tokenizer, QUESTION, ANSWER, thinking)

    assert QUESTION in asked
    assert all(content in asked for _, content in before)
    assert f"{datetime.date.today():%Y-%m-%d}" not in asked
    # The lesson: the answer once, the token that ends a turn at its end and nowhere else, and no thought left open.
    end = next((token for name, token in TURN_ENDS.items() if name in template.stem), "<|im_end|>")
    assert end_of_turn(tokenizer) == end
    assert lesson.endswith(f"{end}")
    assert lesson.count(end) == lesson.count(ANSWER) == 1
    told_apart = tell_apart(find_opening(asked) + lesson.removesuffix(end))
    assert (told_apart.thought, told_apart.answer.strip(), told_apart.open) == ("", ANSWER, False)
    if thinking == "off":
        assert not find_opening(asked)
        assert lesson.startswith(ANSWER) or lesson.startswith(f"\n\n{ANSWER}")
    # As token ids: the prompt without loss, then the lesson, its last token the turn's end.
    assert tokenizer.decode(row.ids[: row.prompt]) == render(tokenizer, QUESTION, thinking)
    assert tokenizer.decode(row.ids[row.prompt :]) == write_lesson(tokenizer, QUESTION, ANSWER, thinking)
    assert row.ids[-1] == tokenizer.convert_tokens_to_ids(end)


@NEEDS
@REAL
@pytest.mark.parametrize("thinking", MODES)
def test_prompt_and_lesson_are_what_the_template_writes_of_the_whole_talk(template: Path, thinking: Thinking) -> None:
    tokenizer = tokenizer_of(template)
    talk = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]

    ours = render(tokenizer, QUESTION, thinking) + write_lesson(tokenizer, QUESTION, ANSWER, thinking)

    whole = written(tokenizer, talk, thinking)
    if not frame_answer(tokenizer, thinking).direct:
        # The template begins an answer with a thought, and writes one that was given without it.
        ours, whole = (_EMPTY_THOUGHT.sub("", text) for text in (ours, whole))
    # An end of turn that it writes with the next question only stands in the lesson already.
    rest = whole.removeprefix(ours.removesuffix(end_of_turn(tokenizer)))
    assert rest.strip() in {"", end_of_turn(tokenizer), f"{end_of_turn(tokenizer)}\n<|endoftext|>"}


_EMPTY_THOUGHT = re.compile(r"<think>\s*(?:</think>\s*)?|</think>|<\|channel>thought\n<channel\|>")


@NEEDS
@REAL
@pytest.mark.parametrize("thinking", MODES)
def test_an_answer_of_the_templates_own_form_is_told_apart_from_its_thought(template: Path, thinking: Thinking) -> None:
    tokenizer = tokenizer_of(template)
    asked = render(tokenizer, QUESTION, thinking)
    end = end_of_turn(tokenizer)
    ends = (frozenset({tokenizer.convert_tokens_to_ids(end)}), ())

    def answer(text: str) -> tuple[str, str, bool]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        completion = completion_of(0, ids, asked, tokenizer, ends)
        assert completion.tokens == len(ids)
        assert completion.prompt_hash == digest(asked)
        told = tell_apart(completion.text)
        return told.thought, told.answer.strip(), completion.truncated

    assert answer(write_lesson(tokenizer, QUESTION, ANSWER, thinking)) == ("", ANSWER, False)
    opens, closes = marks(template)
    opened = "" if find_opening(asked) else opens
    assert answer(f"{opened}Is it 12? No.{closes}{ANSWER}{end}") == ("Is it 12? No.", ANSWER, False)
    assert answer(f"{opened}Is it 12? The answer is 12. N") == ("Is it 12? The answer is 12. N", "", True)


def marks(template: Path) -> tuple[str, str]:
    """How the template's model marks a thought."""
    if template.stem in {"openai-gpt-oss-120b", "llm-jp-llm-jp-4.1-8b-thinking"}:
        return "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
    named = {"Ministral": ("[THINK]", "[/THINK]"), "gemma-4": ("<|channel>thought\n", "<channel|>")}
    named["Apertus"] = ("<|inner_prefix|>", "<|inner_suffix|>")
    return next((pair for name, pair in named.items() if name in template.stem), ("<think>", "</think>"))


# Templates of our own ------------------------------------------------------------------------------------------------


@pytest.fixture
def opening(tiny_tokenizer: Any) -> Any:
    """A tokenizer whose template opens a thought whatever it is told."""
    tiny_tokenizer.chat_template = THINKING
    return tiny_tokenizer


@pytest.fixture
def tiny_tokenizer(tiny_model: Path) -> Any:
    from errorbook.adapters.targets.loading import load_tokenizer

    return load_tokenizer(str(tiny_model))


def test_a_thought_that_the_template_opens_is_closed_by_the_lesson_or_by_the_prompt(opening: Any) -> None:
    assert render(opening, "Hi", "auto").endswith("<|im_start|>assistant\n<think>\n")
    assert write_lesson(opening, "Hi", "Hello.", "auto") == "\n</think>\n\nHello.<|im_end|>"
    assert render(opening, "Hi", "off").endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert write_lesson(opening, "Hi", "Hello.", "off") == "Hello.<|im_end|>"


def test_earlier_turns_stand_before_the_question(tiny_tokenizer: Any) -> None:
    before = (("system", "Be brief."), ("user", "1 + 1"), ("assistant", "2"))

    assert render(tiny_tokenizer, "2 + 2", "off", before) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1 + 1<|im_end|>\n"
        "<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n2 + 2<|im_end|>\n<|im_start|>assistant\n"
    )
    assert write_lesson(tiny_tokenizer, "2 + 2", "4", "off", before) == "4<|im_end|>"
    tiny_tokenizer.chat_template = None
    assert render(tiny_tokenizer, "2 + 2", "off", before) == "Be brief.\n1 + 1\n2\n2 + 2\n"


@pytest.mark.parametrize(
    "drops",
    [
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}",
        "{% set messages = messages[1:] if messages[0].role == 'system' else messages %}",
    ],
)
def test_a_template_without_a_system_message_is_told_it_in_the_question(tiny_tokenizer: Any, drops: str) -> None:
    tiny_tokenizer.chat_template = f"{drops}{tiny_tokenizer.chat_template}"

    assert render(tiny_tokenizer, "2 + 2", "off", (("system", "Be brief."),)) == (
        "<|im_start|>user\nBe brief.\n\n2 + 2<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    "template", ["{% for m in messages %}", "{{ raise_exception('only tools') }}", "{{ messages[7].content }}"]
)
def test_a_template_that_cannot_write_is_one_sentence(tiny_tokenizer: Any, template: str) -> None:
    tiny_tokenizer.chat_template = template

    with pytest.raises(ModelError, match=r"The chat template of '.*' cannot write a conversation \(.*\); give"):
        render(tiny_tokenizer, "Hi")


def test_a_template_that_writes_questions_only_ends_with_the_tokenizers_own_token(tiny_tokenizer: Any) -> None:
    tiny_tokenizer.chat_template = "Q: {{ messages[0].content }}\nA:"

    assert render(tiny_tokenizer, "Hi") == "Q: Hi\nA:"
    assert write_lesson(tiny_tokenizer, "Hi", "Hello.") == "Hello.<|im_end|>"


def test_no_prompt_depends_on_the_day(tiny_tokenizer: Any) -> None:
    tiny_tokenizer.chat_template = (
        "{% set day = strftime_now('%d %B %Y, %H:%M') %}{% macro name(f) %}{{ strftime_now(f) }}{% endmacro %}"
        "{{ day }}{{ name(', %A') }}: {{ messages[0].content }}"
    )

    assert render(tiny_tokenizer, "Hi") == "01 January 2025, 00:00, Wednesday: Hi"


def test_an_answer_ends_at_the_templates_token_and_at_the_tokenizers(tiny_tokenizer: Any, tiny_model: Path) -> None:
    tiny_tokenizer.eos_token = "<|endoftext|>"

    found = {tiny_tokenizer.convert_ids_to_tokens(token) for token in end_tokens(str(tiny_model), tiny_tokenizer)}

    assert {"<|endoftext|>", "<|im_end|>"} <= found


@pytest.mark.parametrize(
    ("opening", "text", "stops"),
    [
        ("", "18\n\n", True),
        ("", "<think>a\n\n", False),
        ("<think>\n", "a\n\n", False),
        ("<think>\n", "a\n\nb</think>18", False),
        ("<think>\n", "a\n\nb</think>18\n\n", True),
    ],
)
def test_a_stop_string_ends_the_answer_and_no_thought(
    tiny_tokenizer: Any, opening: str, text: str, stops: bool
) -> None:
    over = stops_at(tiny_tokenizer, ("\n\n",), opening)

    assert over(tiny_tokenizer(text, add_special_tokens=False)["input_ids"]) is stops


def test_the_turn_ends_with_the_templates_token_where_the_tokenizer_names_another(tiny_tokenizer: Any) -> None:
    tiny_tokenizer.eos_token = "<|endoftext|>"

    row = encode_row(tiny_tokenizer, "Hi", "Hello.")

    assert end_of_turn(tiny_tokenizer) == "<|im_end|>"
    assert tiny_tokenizer.decode(row.ids[row.prompt :]) == "Hello.<|im_end|>"


CHATML = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == 'assistant' %}{{ CONTENT }}{% else %}{{ message.content }}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def chatml(tiny_model: Path, content: str) -> Any:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    tokenizer.chat_template = CHATML.replace("CONTENT", content)
    return tokenizer


@pytest.mark.parametrize("content", ["message.content | e", "message.content | replace('10', 'ten')"])
def test_a_template_that_changes_an_answer_is_one_sentence(tiny_model: Path, content: str) -> None:
    tokenizer = chatml(tiny_model, content)
    with pytest.raises(ModelError, match=r"changes an answer: instead of 'If b < 11, .*; give the model the template"):
        write_exchange(tokenizer, QUESTION, "If b < 11, b is 10.\nAnswer: 10")


@pytest.mark.parametrize("content", ["message.content", "message.content | trim"])
def test_white_space_around_an_answer_is_the_templates(tiny_model: Path, content: str) -> None:
    lesson = write_lesson(chatml(tiny_model, content), QUESTION, " If b < 11: 10 ")
    assert lesson.removesuffix("<|im_end|>").strip() == "If b < 11: 10"


def test_a_thought_that_the_template_hides_is_taught_all_the_same(tiny_model: Path) -> None:
    tokenizer = chatml(tiny_model, "message.content.split('</think>')[-1]")
    completion = "<think>\nTen and one.\n</think>\nAnswer: 11"
    assert write_lesson(tokenizer, QUESTION, completion, "auto") == f"{completion}<|im_end|>"
    assert write_lesson(tokenizer, QUESTION, "Answer: 11", "auto") == "Answer: 11<|im_end|>"


def test_a_template_that_prints_the_clock_in_any_form_prints_one_day(tiny_model: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_model))
    day = datetime.datetime(2025, 1, 1)
    codes = "%a %A %b %B %c %C %d %D %e %f %F %g %G %h %H %I %j %k %l %m %M %p %r %R %S %T %u %U %V %w %W %x %X %y %Y"
    codes += " %-d %-m %-H %-I %-M %-S %-j |%n|%t|%Z|%z|"
    tokenizer.chat_template = "{% set now = strftime_now %}" + f"{{{{ now('{codes}') }}}} {{{{ messages[0].content }}}}"
    assert render(tokenizer, "Hi") == f"{day.strftime(codes)} Hi"
