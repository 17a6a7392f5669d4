"""What stands around a reply: streams of every make, content of every type, counts wherever they are, no keys."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from llm_kit import READ, ask, asks, engine, kinds

from benchmarks.torture.provider import Answer, chat, provider
from errorbook.errors import ModelError
from errorbook.llm import faults
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.engine import Engine
from errorbook.llm.http import HttpLimits
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.llm.orders import Terms
from errorbook.llm.records import Accepted, Failed, Rejected
from errorbook.llm.structured import take_answer

VERSE = '{"line": "la", "stress": 1}'
CHAT = OpenAIChat("poet", base_url="http://h/v1")
CLAUDE = Anthropic("poet", base_url="http://h")
KEY = "moon-9f8e7d6c5b4a3f2e1d0c"


def sse(*events: Any, end: str = "\n\n", start: str = "") -> bytes:
    """Events as a stream; a text stands for its own lines."""
    texts = [event if isinstance(event, str) else f"data: {json.dumps(event)}" for event in events]
    return (start + "".join(text + end for text in texts)).encode()


def piece(content: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def told(message: Any, finish: object = "stop", **more: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], **more}).encode()


# keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["reply", "error", "thought"])
def test_a_key_that_a_stream_tells_in_pieces_is_kept_and_said_nowhere(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POET_KEY", KEY)
    if place == "error":
        spelt = json.dumps({"error": {"message": f"{KEY} is wrong"}}).replace(KEY[3], f"\\u{ord(KEY[3]):04x}")
        body = sse(f"data: {spelt}")
    else:
        name = "content" if place == "reply" else "reasoning_content"
        letters = ['{"line": "', *KEY, '", "stress": 1}']
        pieces = [{"choices": [{"delta": {name: letter}}]} for letter in letters]
        body = sse(*pieces, piece(finish="stop"), "data: [DONE]")
    terms = Terms(limits=HttpLimits(seconds=10.0), attempts=2, patience=0.1, first_wait=0.01)
    with provider(lambda _: Answer(body)) as url:
        endpoint = OpenAIChat("poet", base_url=url, api_key_env="POET_KEY")
        with Engine(endpoint, store=tmp_path / "calls.sqlite", terms=terms) as llm:
            try:
                shown = str(list(llm.ask(asks(1), READ)))
            except ModelError as error:
                shown = str(error)
    with sqlite3.connect(tmp_path / "calls.sqlite") as store:
        kept = [bytes(row[0]).decode() for row in store.execute("SELECT reply FROM calls WHERE reply IS NOT NULL")]
    for text in [shown, *kept]:
        assert KEY not in text
        assert KEY[:12] not in text
    if place == "reply":
        assert "[key]" in shown


# streams --------------------------------------------------------------------------------------------------------------

WHOLE = {"role": "assistant", "content": VERSE}


@pytest.mark.parametrize(
    "body",
    [
        sse(piece(VERSE[:9]), piece(VERSE[9:]), piece(finish="stop")),
        sse(piece(VERSE[:9]), piece(VERSE[9:]), piece(finish="stop"), end="\r\n\r\n"),
        sse(piece(VERSE), piece(finish="stop"), end="\r\r"),
        sse(piece(VERSE), piece(finish="stop"), start="\ufeff"),
        sse(piece(VERSE), piece(finish="stop"), "data: [DONE]", end="\n"),
        sse(": OPENROUTER PROCESSING", "event: ping\ndata: {}", piece(VERSE), "data: [DONE]"),
        sse("data: keep-alive", "retry: 3000", "id: 7\nevent: message\n" + sse(piece(VERSE, "stop"), end="").decode()),
        sse("\n".join(f"data: {line}" for line in json.dumps(piece(VERSE, "stop"), indent=1).splitlines())),
        sse(piece(VERSE[:9]), piece(VERSE[9:]), {"choices": [{"message": WHOLE, "finish_reason": "stop"}]}),
        sse(piece(VERSE[:9]), piece(VERSE[9:13]), piece(VERSE[13:]), piece(VERSE, "stop")),
        sse({"object": "chat.completion", "choices": [{"message": WHOLE, "finish_reason": "stop"}]}),
        sse({"choices": [{"index": 0, "delta": VERSE}]}, piece(finish="stop")),
        sse({"choices": [{"index": 0, "text": VERSE}]}, piece(finish="stop")),
        sse(piece([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]), piece(VERSE, "stop")),
        sse(piece([{"type": "text", "text": VERSE[:5]}]), piece([{"type": "text", "text": VERSE[5:]}], "stop")),
        sse(
            {"choices": [{"index": 0, "delta": {"content": VERSE}}, {"index": 1, "delta": {"content": "no"}}]},
            {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]},
            piece(finish="stop"),
        ),
        sse(
            {"choices": [{"delta": {"content": VERSE, "tool_calls": [None, 3], "reasoning": 5, "refusal": []}}]},
            {"choices": [None]},
            {"choices": {"0": 1}},
            {"choices": [{"delta": [1], "finish_reason": None}]},
            [1],
            piece(finish="stop"),
        ),
        sse(piece(VERSE), piece(finish=""), piece(finish="null"), "data: [DONE]"),
    ],
)
def test_a_stream_of_any_make_is_one_reply(body: bytes) -> None:
    assert CHAT.read(body).text == VERSE
    assert CHAT.read(CHAT.gather(body)).text == VERSE


@pytest.mark.parametrize("gather", [CHAT.gather, CLAUDE.gather])
@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"message": {"content": {"a": "\ud83d"}}, "finish_reason": "stop"}], "type": ["error"]},
        {"choices": [{"delta": {"content": [{"x": "\ud83d"}]}, "finish_reason": "stop"}], "object": {}},
        {"type": "message_delta", "delta": {"stop_reason": "\ud83d", "usage": [1]}, "message": 3, "usage": "x"},
        {
            "type": "content_block_start",
            "index": [],
            "content_block": {"type": 3, "text": "\ud83d"},
            "delta": {"text": 1},
        },
    ],
)
def test_pieces_of_wrong_types_and_half_characters_stop_nobody(gather: Any, event: dict[str, Any]) -> None:
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    try:
        body = gather(sse(event, end))
    except faults.Lost:
        return
    json.loads(body)


def test_signs_that_end_a_line_elsewhere_are_a_part_of_a_reply() -> None:
    odd = "a\u2028b\u2029c\u0085d\x0be\x1cf"
    lines = [f"data: {json.dumps(piece(letter), ensure_ascii=False)}" for letter in odd]

    assert CHAT.read(sse(*lines, piece(finish="stop"))).text == odd


@pytest.mark.parametrize(
    "body",
    [
        sse(piece(VERSE), piece(finish="")),
        sse(piece("[DONE]")),
        sse(piece(VERSE), 'data: {"choices": [{"delta": {}, "fin'),
        sse(piece(VERSE), 'event: error\ndata: {"message": "upstream is gone"}'),
        sse(piece(VERSE), "event: error\ndata: gone"),
        sse(piece(VERSE, "stop"), {"object": "error", "message": "worker died"}),
        sse(piece(VERSE, "error")),
        sse("data: [DONE]"),
        sse({"id": "x", "choices": []}, "data: [DONE]"),
    ],
)
def test_a_stream_without_its_end_is_no_reply(body: bytes) -> None:
    with pytest.raises(faults.Lost):
        CHAT.read(body)


def test_what_a_tool_is_called_with_comes_in_pieces_too() -> None:
    calls = [[{"index": 0, "function": {"name": "reply", "arguments": VERSE[:7]}}]]
    calls += [[{"index": 0, "function": {"arguments": VERSE[7:]}}], [{"index": [], "function": "x"}]]
    body = sse(*({"choices": [{"delta": {"tool_calls": one}}]} for one in calls), piece(finish="tool_calls"))

    assert CHAT.read(body).text == VERSE


def test_a_long_stream_is_a_short_reply() -> None:
    filler = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm "}}], "system_fingerprint": "f" * 500}
    body = sse(*[filler] * 40, piece(VERSE), piece(finish="stop"))
    terms = Terms(limits=HttpLimits(seconds=10.0, max_bytes=2000), attempts=1, patience=0.1)
    types = iter(["text/event-stream", "text/plain"])
    with provider(lambda _: Answer(body, headers={"Content-Type": next(types)})) as url:
        with engine(url, terms=terms) as llm:
            assert kinds(list(llm.ask(asks(1), READ))) == {"Accepted": 1}
        with engine(url, terms=terms) as llm:
            assert kinds(list(llm.ask(asks(1), READ))) == {"Accepted": 1}


def test_anthropics_stream_is_read_though_none_was_asked_for() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "name": "reply", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": VERSE[:8]}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": VERSE[8:]}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 20}},
    ]
    lines = [f"event: {event['type']}\ndata: {json.dumps(event)}" for event in events]
    reply = CLAUDE.read(sse(*lines, 'event: message_stop\ndata: {"type": "message_stop"}'))

    assert (json.loads(reply.text), reply.thought) == (json.loads(VERSE), "Hm.")
    assert (reply.input_tokens, reply.output_tokens) == (9, 20)
    with pytest.raises(faults.Lost):
        CLAUDE.read(sse(*lines[:-1]))


# content --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        ({"type": "text", "text": VERSE}, VERSE, ""),
        ({"text": VERSE}, VERSE, ""),
        ({"line": "la", "reasoning": "x"}, '{"line":"la","reasoning":"x"}', ""),
        ([{"line": "la"}], '[{"line":"la"}]', ""),
        (["a", "b", None, 3], "ab", ""),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "a"}],
            "a",
            "Hm.",
        ),
        ([{"type": "text", "text": "Hm.", "thought": True}, {"type": "text", "text": "a"}], "a", "Hm."),
        (None, "", ""),
        (7, "", ""),
    ],
)
def test_content_of_any_type_is_told_apart(content: Any, text: str, thought: str) -> None:
    reply = CHAT.read(told({"content": content}))

    assert (reply.text, reply.thought) == (text, thought)


@pytest.mark.parametrize("finish", ["length", "MAX_TOKENS", "max_tokens", "model_length", "max_output_tokens"])
def test_a_reply_that_is_cut_off_is_told_so_in_any_word(finish: str) -> None:
    assert CHAT.read(told({"content": "a"}, finish)).truncated
    assert CLAUDE.read(json.dumps({"content": [], "stop_reason": finish}).encode()).truncated


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("plain", "plain"),
        ([{"type": "thinking", "thinking": None, "signature": "s"}, {"type": "text", "text": None}], ""),
        ([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "a"}, {"text": "b"}, None, 3], "ab"),
        ([{"type": "tool_use", "input": '{"a": 1}'}], '{"a": 1}'),
    ],
)
def test_anthropics_content_may_be_null_or_hold_what_is_new(content: Any, text: str) -> None:
    assert CLAUDE.read(json.dumps({"content": content, "stop_reason": "end_turn"}).encode()).text == text


def test_a_whole_body_may_begin_with_a_mark_or_stand_in_a_list() -> None:
    assert CHAT.read(b"\xef\xbb\xbf" + told({"content": "a"})).text == "a"
    assert CHAT.read(b"[" + told({"content": "a"}) + b"]").text == "a"


@pytest.mark.parametrize("finish", ["insufficient_system_resource", "abort", "load", "network_error", "ERROR"])
def test_an_end_that_was_none_is_no_reply(finish: str) -> None:
    with pytest.raises(faults.Lost):
        CHAT.read(told({"content": "half of"}, finish))


def test_a_refusal_may_be_a_part_and_a_prompt_may_be_filtered() -> None:
    reply = CHAT.read(told({"content": [{"type": "refusal", "refusal": "I will not."}]}))
    assert (reply.text, reply.ended) == ("I will not.", "refusal")
    blocked = {"choices": [], "usage": USAGE, "promptFeedback": {"blockReason": "SAFETY"}}
    assert CHAT.read(json.dumps(blocked).encode()).ended == "filter"
    assert CHAT.read(json.dumps({"choices": None, "usage": USAGE}).encode()).text == ""
    with pytest.raises(faults.Garbled):
        CHAT.read(b'{"choices": []}')


def test_a_price_for_each_request_counts_if_it_is_more_than_the_tokens() -> None:
    from errorbook.llm.budget import Price

    for cost, spent in ((0.005, 0.005), ({"total_cost": 0.007}, 0.007), (0.0, 16e-6), ("much", 16e-6), (-1, 16e-6)):
        with (
            provider(lambda _, cost=cost: Answer(chat(VERSE, {**USAGE, "cost": cost}))) as url,  # type: ignore[misc]
            engine(url, price=Price(input=1.0, output=1.0)) as llm,
        ):
            (result,) = llm.ask([(0, ask("x"))], READ)
        assert result.usage.cost_usd == pytest.approx(spent)


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "thinking": VERSE},
        {"content": "", "reasoning": None, "reasoning_details": [{"type": "reasoning.text", "text": VERSE}]},
        {"content": "", "thinking_blocks": [{"type": "thinking", "thinking": VERSE, "signature": "s"}]},
        {"content": None, "function_call": {"name": "reply", "arguments": VERSE}},
    ],
)
def test_a_reply_is_found_in_fields_of_any_name(message: dict[str, Any]) -> None:
    with provider(lambda _: Answer(told(message))) as url, engine(url, tries=1) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)
    assert isinstance(result, Accepted), result


def test_a_text_completion_is_a_reply_too() -> None:
    assert CHAT.read(json.dumps({"choices": [{"text": VERSE, "finish_reason": "stop"}]}).encode()).text == VERSE


# counts ---------------------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
NONE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    ("body", "counted"),
    [
        (chat(VERSE, NONE), (None, None)),
        (chat(VERSE, {"prompt_tokens": 9, "completion_tokens": 0}), (9, None)),
        (chat("", {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}), (9, 0)),
        (chat(VERSE, {"input_tokens": 9, "output_tokens": 4}), (9, 4)),
        (chat(VERSE, None, x_groq={"usage": USAGE}), (11, 5)),
        (chat(VERSE, [], prompt_eval_count=9, eval_count=3), (9, 3)),
        (json.dumps({"choices": [{"message": WHOLE, "usage": USAGE}]}).encode(), (11, 5)),
        (sse(piece(VERSE), {"choices": [{"index": 0, "finish_reason": "stop", "usage": USAGE}]}), (11, 5)),
        (sse(piece(VERSE), piece(finish="stop", x_groq={"id": "r", "usage": USAGE})), (11, 5)),
        (sse(piece(VERSE, usage=USAGE), piece(finish="stop", usage=NONE)), (11, 5)),
        (sse(piece("a", usage={**USAGE, "completion_tokens": 1}), piece(VERSE, usage=USAGE), "data: [DONE]"), (11, 5)),
    ],
)
def test_counts_are_found_where_they_are_and_none_is_no_count(body: bytes, counted: tuple[Any, Any]) -> None:
    reply = CHAT.read(CHAT.gather(body))

    assert (reply.input_tokens, reply.output_tokens) == counted


def test_a_server_that_counts_nothing_is_charged_at_the_worst_case() -> None:
    from errorbook.llm.budget import Price

    with (
        provider(lambda _: Answer(chat(VERSE, NONE))) as url,
        engine(url, price=Price(input=1.0, output=1.0)) as llm,
    ):
        (result,) = llm.ask([(0, ask("x"))], READ)
    assert isinstance(result, Accepted)
    assert result.usage.assumed_usd == result.usage.cost_usd > 0


def test_anthropic_may_count_nothing_either() -> None:
    body = {"content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 0, "output_tokens": 0}}

    assert not CLAUDE.read(json.dumps(body).encode()).is_counted


# marks of a thought ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'Here it is:\n```json\n{"line": "ends with </think> here", "stress": 1}\n```',
        '<think>{"line": "no", "stress": 9}</think>Well: {"line": "a </think> and a [/THINK] there", "stress": 1}',
        'Well then. {"line": "say <|channel|>final<|message|> to it", "stress": 1}',
        'The close of <|START_THINKING|> is this.<|END_THINKING|>{"line": "la", "stress": 1}',
        '\u25c1think\u25b7{"line": "no", "stress": 9}\u25c1/think\u25b7 {"line": "la", "stress": 1}',
        '{"line": "la </think>", "stress": 1}',
    ],
)
def test_a_mark_of_a_thought_within_a_reply_is_talked_about(text: str) -> None:
    with provider(lambda _: Answer(told({"content": text}))) as url, engine(url, tries=1) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)

    assert isinstance(result, Accepted), result
    assert result.value.stress == 1
    assert result.raw == text
    assert ("</think>" in text.rpartition("{")[2]) == ("</think>" in result.value.line)


@pytest.mark.parametrize(
    "text",
    [
        '<think>{"line": "no", "stress": 9}</think>Well: {"line": "a </think> and',
        '<reasoning>{"line": "no", "stress": 9}',
        '<|begin_of_thought|>{"line": "no", "stress": 9}<|end_of_thought|>I will not.',
    ],
)
def test_what_stands_in_a_thought_alone_is_no_reply(text: str) -> None:
    with provider(lambda _: Answer(told({"content": text}))) as url, engine(url, tries=1) as llm:
        (result,) = llm.ask([(0, ask("x"))], READ)

    assert isinstance(result, Rejected | Failed), result


def test_a_long_thought_with_marks_is_told_apart_quickly() -> None:
    text = "[0, 1) and {x} " * 4_000 + "</think>" + VERSE
    reply = CHAT.read(told({"content": text}))

    assert take_answer(reply).text == VERSE
