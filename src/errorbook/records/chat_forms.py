"""A conversation as other programs write it -> messages: OpenAI's form and those that say `from` and `value`.

Texts only: what calls a tool, or holds an image, cannot be asked again and is refused. It reads no files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from errorbook.records.conversing import Message

Role = Literal["system", "user", "assistant"]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
}
_TEXTS = {"text", "input_text", "output_text"}


class Talk(NamedTuple):
    """A conversation up to the user's last message, and what the assistant said to that, if it said something."""

    before: tuple[Message, ...]
    question: str
    answer: str | None


def looks_like_messages(value: object) -> bool:
    """Whether a value is a list of messages, be it a wrong one."""
    return isinstance(value, list) and bool(value) and all(_role(item) is not None for item in value)


def read_messages(value: object) -> tuple[Message, ...]:
    """The messages of a list in one of the known forms; neighbours of one role become one message.

    Raises:
        ValueError: It is no such list, or a message is no text; a clause says which.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("is no list of messages")
    found: list[Message] = []
    for number, item in enumerate(value, 1):
        message = _read_message(item, number)
        if message.role == "system" and any(one.role != "system" for one in found):
            raise ValueError(f"has a system message behind others (message {number})")
        if found and found[-1].role == message.role:
            found[-1] = Message(role=message.role, content=f"{found[-1].content}\n\n{message.content}")
        elif message.content:
            found.append(message)
    return tuple(found)


def read_talk(value: object) -> Talk:
    """The messages as a question after what stands before it, and its answer if the assistant has the last word.

    Raises:
        ValueError: As `read_messages`, or no message is the user's.
    """
    messages = read_messages(value)
    answer = messages[-1].content if messages and messages[-1].role == "assistant" else None
    asked = messages if answer is None else messages[:-1]
    if not asked or asked[-1].role != "user":
        raise ValueError("holds no message of the user" if answer is None else "has an answer to no question")
    return Talk(asked[:-1], asked[-1].content, answer)


def _read_message(item: object, number: int) -> Message:
    role = _role(item)
    if role is None or not isinstance(item, Mapping):
        raise ValueError(f"holds no role and content (message {number})")
    if item.get("tool_calls") or item.get("function_call") or role.casefold() not in _ROLES:
        what = f"of the role '{role}'" if role.casefold() not in _ROLES else "that calls a tool"
        raise ValueError(f"holds a message {what}, which is not understood (message {number})")
    content = next((item[key] for key in ("content", "value", "text") if key in item), "")
    return Message(role=_ROLES[role.casefold()], content="\n".join(_texts(content, number)).strip())


def _role(item: object) -> str | None:
    found = next((item[key] for key in ("role", "from") if key in item), None) if isinstance(item, Mapping) else None
    return found if isinstance(found, str) else None


def _texts(content: Any, number: int) -> Iterator[str]:
    """The texts of a message's content: itself, or its parts."""
    if content is None:
        return
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type", "text") in _TEXTS else part
        if not isinstance(text, str):
            raise ValueError(f"holds something else than text (message {number})")
        yield text
