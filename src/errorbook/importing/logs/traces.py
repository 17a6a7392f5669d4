"""Requests to chat models with their responses, as proxies, gateways and tracing programs log them.

One exchange a row, in the forms of OpenAI's chat completions and Responses, and of whatever wraps them: a `request` and
a `response` (bodies as objects or as JSON text), a conversation with the response beside it, or one that the assistant
ends. The user's last message is the question; all before it stands before the question. An exchange that calls a tool
or holds an image is left out: it cannot be asked again. One that failed has no response, which proves no mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from errorbook.errors import DataError
from errorbook.files import NOT_JSON, Row, parse_json
from errorbook.importing.logs.columns import ANSWER, LABEL, MESSAGES, find_columns, first_value
from errorbook.importing.logs.dataset_row import read_content
from errorbook.importing.logs.entry import Label, Logged, read_label
from errorbook.records import Talk, looks_like_messages, read_talk

NAME = "requests with responses (messages, choices)"
_REQUEST = ("request", "request_body", "req", "kwargs", "input", "inputs", "body")
_RESPONSE = ("response", "response_body", "resp", "completion", "output", "outputs", "result")
_ABOUT = ("metadata", "meta", "feedback", "scores", "evaluation", "annotation")
"""Objects beside the exchange that may hold its label and its gold answer."""
_JUDGED = (*LABEL, "feedback", "rating", "thumbs", "vote", "value")
_LIKED = {"up", "thumbs_up", "thumbsup", "good", "positive", "like", "liked", "👍", "accepted"}
_DISLIKED = {"down", "thumbs_down", "thumbsdown", "bad", "negative", "dislike", "disliked", "👎", "rejected"}
_DOWN = (-1, "-1")
"""Of two thumbs, this points down."""
_IDS = ("id", "request_id", "trace_id", "custom_id", "task_id", "question_id")
_CUT = {"length", "max_tokens", "max_output_tokens", "incomplete"}


def fits(columns: Mapping[str, Any]) -> bool:
    """Whether a row holds messages, or the text that a request asked, and what came back."""
    asked = _find_asked(columns)
    return asked is not None and (_find_reply(columns) is not None or _ends_with_answer(asked))


def read(rows: Sequence[Row], stem: str) -> list[Logged]:
    """One entry for each exchange that consists of text.

    Raises:
        DataError: None does.
    """
    found, reason = [], ""
    for row in rows:
        try:
            found.append(_entry(row, stem))
        except ValueError as error:
            reason = reason or f"the one on {row.place} {error}"
    if not found:
        raise DataError(f"None of {len(rows)} exchanges can be asked again ({reason}); give some that are all text.")
    return found


def count_left_out(rows: Sequence[Row], entries: Sequence[Logged]) -> int:
    """How many exchanges are no entries, because they are not all text."""
    return len({row.place for row in rows} - {entry.place for entry in entries})


def _entry(row: Row, stem: str) -> Logged:
    columns = row.values
    talk = read_talk(_find_asked(columns))
    reply = _find_reply(columns)
    # What stands around the exchange describes it; its own columns (input, output) are not those of a dataset's row.
    aside = _describe(columns)
    there = read_content(aside)
    id = _plain(first_value(columns, _IDS))
    return Logged(
        id=id or f"{stem}:{row.number}",
        place=row.place,
        question=talk.question,
        text=_read_reply(reply, talk),
        label=_label(columns),
        answer=there.answer if find_columns(aside, ANSWER) else "",
        accepted=there.accepted if find_columns(aside, ANSWER) else (),
        solution=there.solution,
        tests=there.tests,
        skill=there.skill,
        model=_plain(_look_up(columns, reply, "model")),
        tokens=_count_tokens(columns, reply),
        truncated=_is_cut(columns, reply),
        before=talk.before,
        thought=_read_thought(reply),
    )


def _unpack(value: Any) -> Any:
    """A body: what JSON text holds, and what an envelope (`body`, `data`) wraps."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        with suppress(*NOT_JSON):
            value = parse_json(value)
    while isinstance(value, Mapping):
        inner = next((value[key] for key in ("body", "data") if isinstance(value.get(key), Mapping | str)), None)
        if inner is None or any(key in value for key in ("messages", "choices")):
            break
        unpacked = _unpack(inner)
        if not isinstance(unpacked, Mapping):
            break
        value = unpacked
    return value


def _bodies(columns: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [_unpack(columns[name]) for name in find_columns(columns, names) if columns[name] is not None]


def _find_asked(columns: Mapping[str, Any]) -> list[Any] | None:
    """The messages of the request, a system message of its own included; None if the row holds none."""
    for body in (columns, *_bodies(columns, _REQUEST)):
        if looks_like_messages(body):
            return list(body)
        if not isinstance(body, Mapping):
            continue
        told = body.get("instructions") or body.get("system")
        system = [{"role": "system", "content": told}] if isinstance(told, str | list) and told else []
        for name in (*find_columns(body, MESSAGES), "input"):
            value = _unpack(body.get(name))
            if looks_like_messages(value):
                return [*system, *value]
            if name == "input" and isinstance(value, str) and value and body is not columns:
                return [*system, {"role": "user", "content": value}]
    return None


def _ends_with_answer(asked: Sequence[Any]) -> bool:
    return looks_like_messages(asked) and str(asked[-1].get("role", asked[-1].get("from"))).casefold() in {
        "assistant",
        "gpt",
        "model",
    }


def _find_reply(columns: Mapping[str, Any]) -> Any:
    """What came back: a body, a message or a text; None if the row holds nothing of that kind."""
    if isinstance(columns.get("choices"), list) and columns["choices"] and isinstance(columns["choices"][0], Mapping):
        return columns
    found = [body for body in _bodies(columns, _RESPONSE) if not looks_like_messages(body) or len(body) == 1]
    if found:
        return found[0]
    return {} if columns.get("error") or find_columns(columns, _RESPONSE) else None


def _read_reply(reply: Any, talk: Talk) -> str:
    """The text of the response; of several choices the first one's. Raises ValueError if it is more than text."""
    if reply is None:
        return talk.answer or ""
    message = _find_message(reply) if isinstance(reply, Mapping) else reply
    if isinstance(message, list) and len(message) == 1:
        message = message[0]
    if isinstance(message, str):
        return message
    if isinstance(message, Mapping) and {"content", "text", "tool_calls"} & message.keys():
        return read_talk([{"role": "user", "content": "?"}, {**message, "role": "assistant"}]).answer or ""
    return ""


def _read_thought(reply: Any) -> str:
    """What the response holds as the model's reasoning, beside its text or as parts of it."""
    message = _find_message(reply) if isinstance(reply, Mapping) else None
    if not isinstance(message, Mapping):
        return ""
    beside = next((text for name in ("reasoning_content", "reasoning") if (text := _plain(message.get(name)))), "")
    content = message.get("content")
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    told = [_plain(part.get(name)) for part in parts for name in ("thinking", "reasoning") if part.get("type") == name]
    return "\n".join(text for text in (beside, *told) if text)


def _find_message(body: Mapping[str, Any]) -> Any:
    """The message in the body of a response, be it its text alone."""
    choices, output = body.get("choices"), body.get("output")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0].get("message", choices[0].get("text"))
    if isinstance(output, list):
        parts = [part for part in output if isinstance(part, Mapping)]
        if any(str(part.get("type")).endswith("_call") for part in parts):
            raise ValueError("calls a tool")
        return [part for part in parts if part.get("type") == "message"]
    if looks_like_messages(body.get("messages")):
        return body["messages"][-1]
    return body.get("message", body)


def _describe(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The row without the exchange itself, and what is told of it in objects beside it."""
    exchange = {name.casefold() for name in (*_REQUEST, *_RESPONSE, *MESSAGES, "choices", "model", "prompt", "text")}
    aside = {name: value for name, value in columns.items() if name.casefold() not in exchange}
    for name in _ABOUT:
        if isinstance(columns.get(name), Mapping):
            aside = {**columns[name], **aside}
    return aside


def _label(columns: Mapping[str, Any]) -> Label:
    """The first verdict that the row, or an object beside the exchange, gives in any known spelling."""
    for place in (columns, *(columns[name] for name in _ABOUT if isinstance(columns.get(name), Mapping))):
        for name in find_columns(place, _JUDGED):
            value = place[name]
            word = value.strip().casefold() if isinstance(value, str) else ""
            if word in _LIKED | _DISLIKED:
                return "right" if word in _LIKED else "wrong"
            found = "wrong" if value in _DOWN else read_label(value)
            if found:
                return found
    return ""


def _look_up(columns: Mapping[str, Any], reply: Any, name: str) -> Any:
    """A field of the response, else of the row, else of the request."""
    bodies = (reply, columns, *_bodies(columns, _REQUEST))
    return next((body[name] for body in bodies if isinstance(body, Mapping) and body.get(name)), None)


def _count_tokens(columns: Mapping[str, Any], reply: Any) -> int:
    usage = _look_up(columns, reply, "usage")
    counts = [usage.get(name) for name in ("completion_tokens", "output_tokens")] if isinstance(usage, Mapping) else []
    return next((count for count in counts if isinstance(count, int) and count > 0), 0)


def _is_cut(columns: Mapping[str, Any], reply: Any) -> bool:
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    said = (first.get("finish_reason"), *(_look_up(columns, reply, name) for name in ("stop_reason", "status")))
    return any(value in _CUT for value in said if isinstance(value, str))


def _plain(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
