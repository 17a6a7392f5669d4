"""What a model is asked: a question alone, as text, or after a system message, shown examples and earlier turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from errorbook.records.base import Record, digest, encode

_SAID = 4
"""Words from which on a conversation has begun."""


class Message(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation. `shot` marks an example that a task shows before every question."""

    role: Literal["system", "user", "assistant"]
    content: str
    shot: bool = False


class Conversation(str):
    """A prompt that is more than one message: `before`, then the user's `question`.

    It is its own text form, so that whatever takes a prompt as text (a model without a chat template, a hash, a limit
    on length) takes all of it; what can send messages asks `messages_of`.
    """

    before: tuple[Message, ...]
    question: str

    def __new__(cls, before: Sequence[Message], question: str) -> Conversation:
        """The conversation; `converse` also makes a plain text of one that has nothing before its question."""
        made = super().__new__(cls, write_text((*before, Message(role="user", content=question))))
        made.before, made.question = tuple(before), question
        return made

    def __reduce__(self) -> tuple[type[Conversation], tuple[tuple[Message, ...], str]]:
        """What a copy, in this process or another, is made from."""
        return Conversation, (self.before, self.question)


def converse(before: Sequence[Message], question: str) -> str:
    """The prompt that asks `question` after the messages `before` it; the plain question if there are none."""
    return Conversation(before, question) if before else question


def messages_of(prompt: str) -> tuple[Message, ...]:
    """The messages that a prompt consists of, the last of them the user's; what is plain text is one message."""
    before, question = (prompt.before, prompt.question) if isinstance(prompt, Conversation) else ((), prompt)
    return (*(Message(role=one.role, content=one.content) for one in before), Message(role="user", content=question))


def key_of(prompt: str) -> str:
    """A text that tells prompts apart: a conversation is not the plain text that it reads like."""
    return (
        "\n".join(encode(one).decode() for one in messages_of(prompt)) if isinstance(prompt, Conversation) else prompt
    )


def last_question(prompt: str) -> str:
    """The user's message that is to be answered."""
    return prompt.question if isinstance(prompt, Conversation) else prompt


def write_text(messages: Sequence[Message]) -> str:
    """Messages as one text, for a model that knows no chat: up to where the answer begins, on a line of its own.

    A question after a system message follows it as it is. Earlier turns need names, to tell who says what.
    """
    system = [one.content for one in messages if one.role == "system"]
    turns = [one for one in messages if one.role != "system"]
    if len(turns) == 1:
        return "\n\n".join([*system, turns[0].content])
    said = [f"{one.role.capitalize()}:\n{one.content}" for one in turns]
    return "\n\n".join([*system, *said, "Assistant:"])


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with the system message at the beginning of the user's first, for models that take none.

    If the assistant begins, it is the user's first.
    """
    system = "\n\n".join(one.content for one in messages if one.role == "system")
    turns = [one for one in messages if one.role != "system"]
    if not system or not turns:
        return tuple(messages)
    if turns[0].role != "user":
        return (Message(role="user", content=system), *turns)
    return (Message(role="user", content=f"{system}\n\n{turns[0].content}"), *turns[1:])


def own_turns(before: Sequence[Message]) -> tuple[Message, ...]:
    """The earlier turns that belong to a question itself: neither a system message nor examples that are shown."""
    return tuple(one for one in before if one.role != "system" and not one.shot)


def own_context(before: Sequence[Message]) -> tuple[Message, ...]:
    """All that belongs to a question itself and stands before it; the examples that a task shows do not."""
    return tuple(one for one in before if not one.shot)


def whole_question(before: Sequence[Message], question: str) -> str:
    """The question after its own earlier turns, as one text to compare with others.

    A system message is no part of it: it is mostly the same for many questions.
    """
    return "\n".join([*(one.content for one in own_turns(before)), question])


def context_of(before: Sequence[Message]) -> str:
    """A text that is equal for questions after equal messages of their own; empty if nothing stands before them."""
    own = own_context(before)
    return digest(*(encode(one) for one in own)) if own else ""


def opening_of(before: Sequence[Message], question: str) -> str:
    """What the conversation of a question began with: the same for all questions of one conversation.

    A greeting tells nothing, so it goes on until something was said.
    """
    said: list[str] = []
    for text in (*(one.content for one in own_turns(before)), question):
        said.append(text)
        if len(" ".join(said).split()) >= _SAID:
            break
    return "\n".join(said)
