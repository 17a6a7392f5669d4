"""Scorers as rewards: the verdicts of an examination in the forms of TRL and verifiers, and no zero for a failure."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docs_kit import blocks
from places import ROOT

from errorbook import rewards
from errorbook.errors import ConfigError, DataError, PluginError, UnjudgedError
from errorbook.records import Example, NoVerdict, Score
from errorbook.rewards import Graded
from errorbook.sandbox.cell import find_lack

needs_cells = pytest.mark.skipif(find_lack() is not None, reason=f"no sandbox here: {find_lack()}")
PAGE = ROOT / "docs" / "howto" / "rewards.md"
CODE = [
    {
        "question": f"Write f(x) that adds {n} to x.",
        "answer": f"def f(x):\n    return x + {n}",
        "tests": f"assert f(1) == {1 + n}",
        "id": str(n),
    }
    for n in (1, 2)
]


@pytest.fixture
def graded() -> Graded:
    return rewards.open_task("arithmetic")


def ask(graded: Graded, rows: Sequence[dict[str, Any]], completions: Sequence[Any]) -> list[float]:
    """The rewards as TRL asks for them: with columns that nobody needs."""
    columns = {name: [row[name] for row in rows] for name in ("answer", "info")}
    return rewards.for_trl(graded)(
        prompts=[row["prompt"] for row in rows], completions=completions, trainer_state=None, **columns
    )


def test_rows_are_train_questions_as_the_target_is_asked_them(graded: Graded) -> None:
    rows = rewards.list_rows(graded, 5, seed=3)

    examples = graded.task.examples("train", 5, 3)
    assert [row["answer"] for row in rows] == [example.answer for example in examples]
    for row, example in zip(rows, examples, strict=True):
        assert row["prompt"] == [{"role": "user", "content": graded.task.prompt(example.question)}]
        assert msgspec.json.decode(row["info"]["errorbook"], type=Example) == example


def test_right_is_one_and_anything_else_is_nothing(graded: Graded) -> None:
    [row] = rewards.list_rows(graded, 1)
    right = f"Answer: {row['answer']}"
    said = [{"role": "user", "content": "Once more."}, {"role": "assistant", "content": right}]
    in_parts = [{"role": "assistant", "content": [{"type": "text", "text": right}]}]
    texts = [right, "Answer: 123456789", "No idea.", said, in_parts, [], f"<think>5?</think>{right}", f"<think>{right}"]

    assert ask(graded, [row] * len(texts), texts) == [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]


def test_a_rubric_of_verifiers_gets_the_same(graded: Graded) -> None:
    [row] = rewards.list_rows(graded, 1)
    reward = rewards.for_verifiers(graded)
    said = [{"role": "assistant", "content": f"Answer: {row['answer']}"}]
    as_json = msgspec.json.encode(row["info"]).decode()

    async def all_of_them() -> list[float]:
        calls = [
            reward(completion=said, info=row["info"], prompt=row["prompt"], state={}),
            reward(completion="Answer: 123456789", info=as_json),
        ]
        return list(await asyncio.gather(*calls))

    assert asyncio.run(all_of_them()) == [1.0, 0.0]


class Failing:
    """A scorer whose machine breaks on some texts."""

    name = "failing"

    def score(self, example: Example, text: str) -> Score:
        if "broken" in text:
            raise UnjudgedError("The sandbox is gone.")
        return Score(verdict="right" if "yes" in text else "wrong")

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        return [
            NoVerdict(reason="The sandbox is gone.") if "broken" in text else self.score(*pair)
            for pair in pairs
            for text in [pair[1]]
        ]


def test_what_could_not_be_judged_moves_nothing_and_nothing_at_all_stops(graded: Graded) -> None:
    failing = graded._replace(scorer=Failing())
    one, two = rewards.list_rows(graded, 2)

    found = ask(failing, [one, one, one, one, two, two], ["yes", "no", "broken", "yes", "broken", "no"])

    assert found == [1.0, 0.0, pytest.approx(2 / 3), 1.0, 0.0, 0.0]
    with pytest.raises(UnjudgedError, match="2 of 2 responses of 'arithmetic' could not be judged"):
        ask(failing, [one, two], ["broken", "broken"])
    with pytest.raises(UnjudgedError, match="could not be judged"):
        asyncio.run(rewards.for_verifiers(failing)(completion="broken", info=one["info"]))


def test_rows_of_others_are_refused_with_one_sentence(graded: Graded) -> None:
    [row] = rewards.list_rows(graded, 1)
    reward = rewards.for_trl(graded)

    with pytest.raises(DataError, match="no column 'info'"):
        reward(prompts=["?"], completions=["1"])
    for info in ({}, {"errorbook": "?"}, None, "{", 7):
        with pytest.raises(DataError, match="holds no example"):
            reward(prompts=["?"], completions=["1"], info=[info])
    with pytest.raises(PluginError, match="arithmetics"):
        rewards.open_task("arithmetics")
    with pytest.raises(ConfigError, match="shots"):
        rewards.open_task("arithmetic", shots=-1)
    assert ask(graded, [row], [""]) == [0.0]


def test_rows_begin_with_the_system_message_and_the_shots_of_the_task() -> None:
    graded = rewards.open_task("arithmetic", system="Be brief.", shots=1)

    first, second = rewards.list_rows(graded, 2, seed=3)

    for row in (first, second):
        system, asked, answered, question = row["prompt"]
        assert system == {"role": "system", "content": "Be brief."}
        assert (asked["role"], answered["role"], question["role"]) == ("user", "assistant", "user")
        assert asked["content"] != question["content"]
    assert first["prompt"][:3] == second["prompt"][:3]


@needs_cells
def test_programs_are_judged_in_the_sandbox_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(row) for row in CODE))
    graded = rewards.open_task("mine", kind="jsonl", path=str(path), scorer="code", tests="tests")
    rows = rewards.list_rows(graded, 2)

    texts = [f"```python\ndef f(x):\n    return x + {n}\n```" for n in (1, 1)]
    assert sorted(ask(graded, rows, texts)) == [0.0, 1.0]


@pytest.mark.slow
def test_grpo_of_trl_runs_on_our_tasks_as_the_page_says(tmp_path: Path) -> None:
    if importlib.util.find_spec("trl") is None:
        pytest.skip("TRL is not installed; pip install trl")
    [script] = [block for block in blocks(PAGE) if block.title == "grpo.py"]
    (tmp_path / script.title).write_text(script.text, encoding="utf-8")

    command = [sys.executable, script.title]  # its libraries warn of this and that
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=1200)

    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 steps, rewards [" in done.stdout
    assert (tmp_path / "grpo" / "adapter" / "adapter_model.safetensors").is_file()
