"""Served models that think: whatever way a server tells the thought in, the answer alone is scored."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command_kit import call
from places import KITS
from reasoning_kit import reasoning_server

from errorbook.adapters.targets.openai import OpenAITarget
from errorbook.adapters.tasks.arithmetic_solver import solve
from errorbook.ledger.file import open_ledger
from errorbook.llm.anthropic import Anthropic
from errorbook.llm.openai_chat import OpenAIChat
from errorbook.records import Evaluation, Generation, Response

CHAT = OpenAIChat("m", base_url="http://h/v1")
DRAFT = "Is it {wrong}? So the answer is {wrong}. No, one more."
RUN_FILE = """
[run]
name = "thinker"
cycles = 1

[target]
engine = "openai"
model = "thinker"
base_url = "{base_url}"

[[tasks]]
name = "arithmetic"
train = 12
dev = 12
test = 12

[strategy]
retriever = "tfidf"

[train]
method = "external"
"""

Message = Callable[[str, str], dict[str, Any]]
ALL_RIGHT: dict[str, Message] = {
    "tags": lambda thought, answer: {"content": f"<think>\n{thought}\n</think>\n\n{answer}"},
    "closed only": lambda thought, answer: {"content": f"{thought}\n</think>\n\n{answer}"},
    "reasoning_content": lambda thought, answer: {"content": answer, "reasoning_content": thought},
    "reasoning": lambda thought, answer: {"content": answer, "reasoning": thought, "reasoning_content": None},
    "details": lambda thought, answer: {
        "content": answer,
        "reasoning": thought,
        "reasoning_details": [{"type": "reasoning.text", "text": thought}],
    },
    "parts": lambda thought, answer: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": thought}], "closed": True},
            {"type": "text", "text": answer},
        ]
    },
    "reasoning part": lambda thought, answer: {
        "content": [{"type": "reasoning", "reasoning": thought}, {"type": "text", "text": answer}]
    },
    "channels": lambda thought, answer: {
        "content": f"<|channel|>analysis<|message|>{thought}<|end|>"
        f"<|start|>assistant<|channel|>final<|message|>{answer}"
    },
    "mistral": lambda thought, answer: {"content": f"[THINK]{thought}[/THINK]{answer}"},
}
CUT_OFF: dict[str, dict[str, Any]] = {
    "never closed": {"message": {"content": "<think>\nThe answer is 5. Wa"}, "finish_reason": "length"},
    "ended inside": {"message": {"content": "<think>\nThe answer is 5."}},
    "no content": {"message": {"content": None, "reasoning_content": "The answer is 5. Wa"}, "finish_reason": "length"},
    "answer in the thought": {"message": {"content": None, "reasoning_content": "The answer is 5."}},
    "empty content": {"message": {"content": "", "reasoning": "The answer is 5. Wa"}, "finish_reason": "length"},
    "thinking part": {"message": {"content": [{"type": "thinking", "thinking": "The answer is 5."}]}},
}


def exam(folder: Path, base_url: str) -> tuple[dict[str, Any], list[Response]]:
    """What `errorbook exam` prints as JSON, and the recorded responses."""
    (folder / "run.toml").write_text(RUN_FILE.format(base_url=base_url), encoding="utf-8")
    done = call(folder, "exam", "run.toml", "--json")
    assert done.returncode == 0, done.stderr
    with open_ledger(next(folder.glob("runs/*")), "read") as ledger:
        found = [response for one in ledger.all(Evaluation) for response in ledger.responses(one)]
    return msgspec.json.decode(done.stdout), found


@pytest.mark.parametrize("form", ALL_RIGHT)
def test_an_exam_of_a_reasoning_model_that_answers_all_right_shows_no_mistake(form: str, tmp_path: Path) -> None:
    def says(asked: dict[str, Any]) -> dict[str, Any]:
        right = str(solve(asked["messages"][-1]["content"].partition("\n")[0]))
        thought = DRAFT.format(wrong=f"{right}1")
        return {"message": {"role": "assistant", **ALL_RIGHT[form](thought, f"Answer: {right}")}}

    with reasoning_server(says) as base_url:
        report, responses = exam(tmp_path, base_url)

    base = report["tasks"]["arithmetic"]["dev"]["base"]
    assert (base["n"], base["right"]) == (12, 12)
    assert len(responses) >= 24
    assert {response.score.verdict for response in responses} == {"right"}
    assert all(response.thought.startswith("Is it ") and "No, one more." in response.thought for response in responses)
    assert all(response.text.startswith("Answer: ") and "Is it" not in response.text for response in responses)
    assert {response.tokens for response in responses} == {30}


@pytest.mark.parametrize("form", CUT_OFF)
def test_what_ends_inside_its_thought_is_cut_off_and_no_mistake(form: str) -> None:
    from errorbook.adapters.scorers.contains import Contains
    from errorbook.adapters.tasks.arithmetic import Arithmetic
    from errorbook.evaluate import evaluate, identify

    with reasoning_server(lambda asked: msgspec.json.decode(msgspec.json.encode(CUT_OFF[form]))) as base_url:
        target = OpenAITarget("thinker", base_url=base_url)
        task = Arithmetic()
        examples = task.examples("train", 3, 0)
        evaluation = identify(target, "base", task, "train", examples)
        found = [one for block in evaluate(target, task, Contains(), evaluation, examples) for one in block]
        target.close()

    assert len(found) == 3
    assert {(one.score.verdict, one.score.method, one.truncated, one.text) for one in found} == {
        ("unscorable", "unfinished thought", True, "")
    }
    assert all(one.thought.startswith("The answer is 5.") for one in found)


def test_a_thought_without_marks_is_known_by_its_cut_if_the_model_is_told_to_think() -> None:
    cut = {"message": {"content": "The answer is 5. Wa"}, "finish_reason": "length"}
    texts = {}
    for thinking in ("on", "auto"):
        with reasoning_server(lambda asked: dict(cut)) as base_url:
            target = OpenAITarget("thinker", base_url=base_url, thinking=thinking)
            [completion] = target.generate(["a"], Generation(max_new_tokens=5))
            target.close()
        texts[thinking] = completion.text

    assert texts == {"on": "<think>\nThe answer is 5. Wa", "auto": "The answer is 5. Wa"}


@pytest.mark.parametrize(
    ("thinking", "sampling", "told"),
    [
        ("auto", None, None),
        ("off", None, {"enable_thinking": False, "thinking": False}),
        ("on", {"top_p": 0.9}, {"enable_thinking": True, "thinking": True}),
        ("on", {"chat_template_kwargs": {"thinking": 3}}, {"enable_thinking": True, "thinking": 3}),
    ],
)
def test_the_server_is_told_whether_to_think(
    thinking: Any, sampling: dict[str, Any] | None, told: dict[str, Any] | None
) -> None:
    seen: list[dict[str, Any]] = []

    def says(asked: dict[str, Any]) -> dict[str, Any]:
        seen.append(asked)
        return {"message": {"content": "x"}}

    with reasoning_server(says) as base_url:
        target = OpenAITarget("thinker", base_url=base_url, thinking=thinking, sampling=sampling)
        list(target.generate(["a"], Generation(max_new_tokens=5)))
        target.close()

    assert seen[0].get("chat_template_kwargs") == told


def test_a_stop_string_counts_in_the_answer_alone() -> None:
    said = {"message": {"content": "<think>a\n\nb</think>18\n\nNext question"}}
    with reasoning_server(lambda asked: dict(said)) as base_url:
        target = OpenAITarget("thinker", base_url=base_url)
        [completion] = target.generate(["a"], Generation(max_new_tokens=50, stop=("\n\n",)))
        target.close()

    assert completion.text == "<think>a\n\nb</think>18\n\n"


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 5110}, (100, 5010)),
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}, (100, 10)),
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 3}, (100, 10)),
        ({"prompt_tokens": 100, "completion_tokens": 10}, (100, 10)),
        ({"prompt_tokens": 100, "total_tokens": 110}, (100, None)),
    ],
)
def test_a_thought_that_a_server_counts_in_the_total_alone_is_counted(
    usage: dict[str, int], counted: tuple[int, int | None]
) -> None:
    reply = CHAT.read(msgspec.json.encode({"choices": [{"message": {"content": "x"}}], "usage": usage}))

    assert (reply.input_tokens, reply.output_tokens) == counted


@pytest.mark.parametrize("odd", [3, {"effort": "high"}, [None, {"type": "x"}], "", {"text": "a"}])
def test_a_reasoning_of_an_odd_form_spoils_no_reply(odd: Any) -> None:
    message = {"content": "18", "reasoning": odd, "reasoning_content": None}
    reply = CHAT.read(msgspec.json.encode({"choices": [{"message": message}]}))

    assert (reply.text, reply.thought) == ("18", "a" if odd == {"text": "a"} else "")


def test_anthropics_thinking_blocks_are_told_apart() -> None:
    content = [{"type": "thinking", "thinking": "Is it 17?", "signature": "x"}, {"type": "text", "text": "18"}]
    reply = Anthropic("m", base_url="http://h").read(msgspec.json.encode({"content": content}))

    assert (reply.text, reply.thought) == ("18", "Is it 17?")


@pytest.mark.parametrize("thinking", ["off", "on"])
def test_vllm_is_told_whether_to_think_and_knows_what_its_prompts_open(
    thinking: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from errorbook.adapters.targets.vllm import VLLMTarget

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    template = model / "chat_template.jinja"
    opens = "{% if enable_thinking %}<think>\n{% endif %}"
    template.write_text(template.read_text(encoding="utf-8") + opens, encoding="utf-8")
    log = tmp_path / "log.jsonl"
    monkeypatch.setenv("STAND_IN_LOG", str(log))
    command = (sys.executable, str(KITS / "stand_in_vllm.py"), "healthy")
    target = VLLMTarget(str(model), command=command, start_seconds=20.0, thinking=thinking)
    try:
        [cut] = target.generate(["a"], Generation(max_new_tokens=3))
        [whole] = target.generate(["a"], Generation(max_new_tokens=50))
    finally:
        target.close()

    asked = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    told = next(item["chat_template_kwargs"] for item in asked if "chat_template_kwargs" in item)
    assert told["enable_thinking"] is told["thinking"] is (thinking == "on")
    assert cut.text.startswith("<think>\n") is (thinking == "on")
    assert "Answer:" in whole.text
    assert not whole.text.startswith("<think>")
    assert target.fingerprint != VLLMTarget(str(model), thinking="auto").fingerprint
