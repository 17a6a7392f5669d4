"""A conversation as the model's own chat template writes it: the prompt of a question, and the lesson that answers.

What is asked and what is taught are made here alike, so that a lesson begins exactly where an answer does, and ends
with the token that ends a turn. Whether the model is to think first is one of three modes (`Thinking`). What a thought
looks like is the business of `checks.thoughts`; token ids are made in `loading` and in the trainers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from errorbook.checks.thoughts import closing_of, find_opening, has_marks, is_closed, tell_apart
from errorbook.errors import ModelError
from errorbook.records import messages_of

Thinking = Literal["off", "on", "auto"]
"""Whether the model thinks before it answers: it is told not to, it is told to, or the template's default holds.

"off" also closes a thought that the template opens whatever it is told, so that the answer comes at once.
"""
Turn = tuple[str, str]
"""Role ("system", "user" or "assistant") and content of one message."""

SWITCHES: dict[Thinking, dict[str, bool]] = {
    "off": {"enable_thinking": False, "thinking": False},
    "on": {"enable_thinking": True, "thinking": True},
    "auto": {},
}
"""The variables of chat templates by which they are told."""
_SWITCH_OFF = "/no_think"
"""What turns thinking off in a system message, for templates that have no variable for it."""
TODAY = "1 January 2025"
"""The day that every prompt is written on, if its template prints one."""
_CODES = {
    **{"%Y": "2025", "%y": "25", "%m": "01", "%-m": "1", "%B": "January", "%b": "Jan", "%F": "2025-01-01"},
    **{"%d": "01", "%-d": "1", "%e": " 1", "%j": "001", "%A": "Wednesday", "%a": "Wed"},
    **{"%H": "00", "%I": "12", "%M": "00", "%S": "00", "%p": "AM", "%Z": "", "%z": ""},
    **{"%-H": "0", "%-I": "12", "%-M": "0", "%-S": "0", "%k": " 0", "%l": "12", "%f": "000000"},
    **{"%D": "01/01/25", "%x": "01/01/25", "%T": "00:00:00", "%X": "00:00:00", "%R": "00:00", "%h": "Jan"},
    **{"%c": "Wed Jan  1 00:00:00 2025", "%r": "12:00:00 AM", "%C": "20", "%G": "2025", "%g": "25"},
    **{"%V": "01", "%U": "00", "%W": "00", "%u": "3", "%w": "3", "%-j": "1", "%n": "\\n", "%t": "\\t"},
}
_CLOCK = (
    "{%- macro strftime_now(format) -%}{{- format"
    + "".join(f".replace('{code}', '{shown}')" for code, shown in _CODES.items())
    + " -}}{%- endmacro -%}"
)
"""Stands before a template that asks the clock: it hides the clock's function, which no keyword can."""
_Q, _A, _R, _NEXT = "QUESTION-7b1d", "ANSWER-4e9c", "THOUGHT-2f60", "NEXT-c35a"


class Frame(NamedTuple):
    """What stands around the answer in an assistant's turn, from the end of the prompt on.

    `lead` is what comes before the answer (the close of a thought that the prompt opened, the name of a channel),
    `tail` what comes after it, the token `end` that ends the turn included; `rest` stands behind that token and is
    never read. `direct` says that the template, given prompt and answer, writes just this.
    """

    lead: str
    tail: str
    end: str
    rest: str
    direct: bool


def render(tokenizer: Any, prompt: str, thinking: Thinking = "off", before: Sequence[Turn] = ()) -> str:
    """The text that the model reads for one prompt, up to where its answer, or its thought, begins.

    The model's own chat template if it has one; a model without is given the prompt as text and a line break. `before`
    are turns before those of the prompt itself, which may be a whole conversation.

    Raises:
        ModelError: The template refuses the conversation, or is broken.
    """
    turns = [*before, *turns_of(prompt)]
    if not tokenizer.chat_template:
        return "".join(f"{text}\n" for text in (*(content for _, content in before), prompt))
    text = write_turns(tokenizer, turns, thinking, begin=True)
    return _leave_out_thought(tokenizer, turns, text) if thinking == "off" else text


def write_exchange(
    tokenizer: Any, prompt: str, completion: str, thinking: Thinking = "off", before: Sequence[Turn] = ()
) -> tuple[str, str]:
    """`render` of the prompt, and the lesson: what the template writes behind it if the assistant answers so.

    The lesson begins with the close of a thought that the prompt opened, and ends with the token that ends a turn. What
    the template writes behind that token, such as a line break, is left out: no model writes on when its turn is over.

    Raises:
        ModelError: The template refuses the conversation, is broken, or writes something else than the answer.
    """
    asked = render(tokenizer, prompt, thinking, before)
    if not tokenizer.chat_template:
        return asked, f"{completion}{tokenizer.eos_token}"
    frame = frame_answer(tokenizer, thinking)
    if frame.direct:
        whole = write_turns(tokenizer, [*before, *turns_of(prompt), ("assistant", completion)], thinking)
        if whole.startswith(asked) and whole.endswith(f"{frame.tail}{frame.rest}"):
            lesson = whole[len(asked) :].removesuffix(frame.rest)
            if _holds(tokenizer, lesson, completion):
                return asked, lesson
    return asked, f"{frame.lead}{completion}{frame.tail}"


def _holds(tokenizer: Any, lesson: str, completion: str) -> bool:
    """Whether the completion stands in what the template wrote, its thought included; white space does not count.

    Templates trim messages, and take thoughts out of earlier turns, some of the last one too.

    Raises:
        ModelError: Not even its answer stands there.
    """
    written = "".join(lesson.split())
    if "".join(completion.split()) in written:
        return True
    told = tell_apart(completion)
    if told.thought and "".join(told.answer.split()) in written:
        return False
    shown = " ".join(lesson.split())
    raise ModelError(
        f"The chat template of '{tokenizer.name_or_path}' changes an answer: instead of {completion[:60]!r} it writes "
        f"{shown[:60]!r}; give the model the template that it was trained with (chat_template in "
        "tokenizer_config.json)."
    )


def turns_of(prompt: str) -> list[Turn]:
    """The turns of a prompt, the question last."""
    return [(message.role, message.content) for message in messages_of(prompt)]


def frame_answer(tokenizer: Any, thinking: Thinking) -> Frame:
    """What the model's template writes around an answer; of one that writes none, the end token behind it."""
    return _frame(tokenizer, str(tokenizer.chat_template), thinking)


def end_of_turn(tokenizer: Any) -> str:
    """The token that ends the model's turn: the template's own, or the tokenizer's end token if it writes none."""
    return frame_answer(tokenizer, "off").end if tokenizer.chat_template else str(tokenizer.eos_token)


def opened_by(tokenizer: Any, thinking: Thinking) -> str:
    """The opening mark of a thought that the template by itself ends a prompt with; nothing if it opens none."""
    return find_opening(write_turns(tokenizer, [("user", _Q)], thinking, begin=True)) if tokenizer.chat_template else ""


@lru_cache(maxsize=16)
def hides_marks(tokenizer: Any) -> bool:
    """Whether marks of thoughts are special tokens, which are lost if a text is decoded without those."""
    return any(has_marks(token) or token in {"<|channel|>", "<|channel>"} for token in tokenizer.all_special_tokens)


def write_turns(
    tokenizer: Any, turns: Sequence[Turn], thinking: Thinking, *, begin: bool = False, thought: str = ""
) -> str:
    """The conversation as the template writes it; if it is to `begin` the answer, up to there.

    A template that refuses a system message, or drops it, is given its text at the head of the first question.

    Raises:
        ModelError: The template refuses the conversation, or is broken.
    """
    from jinja2 import TemplateError

    named = tokenizer.chat_template
    if isinstance(named, dict) and "default" not in named:
        raise ModelError(
            f"'{tokenizer.name_or_path}' has the chat templates {', '.join(sorted(named))} and none called default;"
            " save the one that is meant as its only template."
        )
    try:
        text = _apply(tokenizer, turns, thinking, begin=begin, thought=thought)
        if turns[0][0] != "system" or _is_told(turns[0][1], text):
            return text
        reason = "it leaves out the system message"
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    if mended := _begin_with_user(turns):
        return write_turns(tokenizer, mended, thinking, begin=begin, thought=thought)
    raise ModelError(
        f"The chat template of '{tokenizer.name_or_path}' cannot write a conversation ({reason}); give the model the "
        "template that it was trained with (chat_template in tokenizer_config.json)."
    )


def _begin_with_user(turns: Sequence[Turn]) -> list[Turn]:
    """The turns for a template that wants the user to begin; none if they do already.

    The user's first message begins with the system message; before a greeting of the assistant it is all of it.
    """
    if turns[0][0] == "assistant":
        return [("user", ""), *turns]
    if turns[0][0] != "system" or len(turns) == 1:
        return []
    told, (role, content), *rest = turns
    return [("user", f"{told[1]}\n\n{content}"), *rest] if role == "user" else [("user", told[1]), *turns[1:]]


def _is_told(system: str, text: str) -> bool:
    """Whether a system message stands in the text, but for the switches of thinking that templates take out of it."""
    words = re.sub(r"/(?:no_)?think", "", system)
    return all(line.strip() in text for line in words.splitlines())


def _apply(tokenizer: Any, turns: Sequence[Turn], thinking: Thinking, *, begin: bool, thought: str = "") -> str:
    template = tokenizer.get_chat_template()
    messages: list[dict[str, str]] = [{"role": role, "content": content} for role, content in turns]
    if thought:  # the library gives it the other names that templates have for it
        messages[-1]["reasoning_content"] = thought
    text: str = tokenizer.apply_chat_template(
        messages,
        tokenize=False,
        add_generation_prompt=begin,
        # Templates would else print today's date: a run over midnight would change its prompts.
        chat_template=f"{_CLOCK}{template}" if "strftime_now" in template else template,
        date_string=TODAY,
        **SWITCHES[thinking],
    )
    return text


def _leave_out_thought(tokenizer: Any, turns: Sequence[Turn], text: str) -> str:
    """The prompt that begins the answer itself: what the template opens before it is closed."""
    opening = find_opening(text)
    if not opening:
        # Of a channel that could begin, the one of the answer is begun.
        lead = frame_answer(tokenizer, "auto").lead
        return f"{text}{lead}" if has_marks(lead) and not is_closed(text) else text
    told = turns[0][1] if turns[0][0] == "system" else ""
    rest = turns[1:] if told else turns
    switched = _apply(tokenizer, [("system", f"{told} {_SWITCH_OFF}".strip()), *rest], "off", begin=True)
    if not find_opening(switched) and _SWITCH_OFF not in switched:
        return switched
    return f"{text}{closing_of(opening)}"


@lru_cache(maxsize=16)
def _frame(tokenizer: Any, template: str, thinking: Thinking) -> Frame:
    """`frame_answer`, once for each template (the argument is a part of the key, since it can be exchanged)."""
    del template
    # What "off" adds to a prompt is found out from the frame of "auto": no circle.
    asked = render(tokenizer, _Q, thinking)
    end = str(tokenizer.eos_token)
    plain = Frame("", end, end, "", direct=False)
    try:
        head, found, after = write_turns(tokenizer, [("user", _Q), ("assistant", _A)], thinking).partition(_A)
        if not found:
            return plain
        tail, end, rest = _cut_at_end(tokenizer, after)
    except ModelError:  # it writes questions only
        return plain
    lead = head.removeprefix(asked)
    if head.startswith(asked) and not tell_apart(f"{find_opening(asked)}{lead}").open:
        return Frame(lead, tail, end, rest, direct=True)
    return Frame(_find_lead(tokenizer, asked, thinking), tail, end, rest, direct=False)


def _find_lead(tokenizer: Any, asked: str, thinking: Thinking) -> str:
    """What leads from a prompt to the answer if the template writes an answer's turn in another way than its prompt."""
    opening = find_opening(asked)
    if not opening:
        # A thought that the prompt closes on its own line is followed by an empty one.
        return "\n\n" if asked.endswith("\n</think>") else ""
    thought = write_turns(tokenizer, [("user", _Q), ("assistant", _A)], thinking, thought=_R)
    if thought.startswith(asked) and _R in thought:
        return thought[len(asked) :].partition(_A)[0].replace(_R, "", 1)
    return closing_of(opening)


def _cut_at_end(tokenizer: Any, after: str) -> tuple[str, str, str]:
    """What stands behind an answer: up to the token that ends the turn and with it, that token, and the rest.

    A template that writes none behind the last turn may do so before the next question; else it is the tokenizer's.
    """
    place, end = _first_token(tokenizer, after)
    if end:
        return after[: place + len(end)], end, after[place + len(end) :]
    turns = [("user", _Q), ("assistant", _A), ("user", _NEXT)]
    between = write_turns(tokenizer, turns, "off").partition(_A)[2].partition(_NEXT)[0]
    place, end = _first_token(tokenizer, between)
    end = end or str(tokenizer.eos_token)
    return between[:place] + end, end, ""


def _first_token(tokenizer: Any, text: str) -> tuple[int, str]:
    """The place and the text of the first added token in a text, the longest one there; white space is none."""
    known = [token for token in tokenizer.get_added_vocab() if token.strip() and token in text]
    places = sorted((text.index(token), -len(token), token) for token in known)
    return (places[0][0], places[0][2]) if places else (0, "")
