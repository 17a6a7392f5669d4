"""Thoughts are told apart however a model marks them; what only looks like one stays in the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errorbook.checks.thoughts import Told, closing_of, find_answer, find_opening, has_marks, tell_apart

TAGS = ["think", "thinking", "thought", "reasoning", "Think", "seed:think", "scratchpad"]
FAMILIES = [
    *((f"<{tag}>", f"</{tag}>") for tag in TAGS),
    ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
]


@pytest.mark.parametrize(("opens", "closes"), FAMILIES)
def test_each_family_closed_closed_only_and_never_closed(opens: str, closes: str) -> None:
    assert tell_apart(f"{opens}Is it 12? No.{closes}\n\n18") == Told("Is it 12? No.", "18")
    assert tell_apart(f"Is it 12? No.\n{closes}18") == Told("Is it 12? No.", "18")
    assert tell_apart(f"{opens}\nIs it 12? N") == Told("Is it 12? N", "", open=True)
    assert tell_apart(f"{opens}{closes}18") == Told("", "18")
    assert has_marks(f"{opens}x")
    assert has_marks(f"x{closes}")


@pytest.mark.parametrize(("opens", "closes"), FAMILIES)
def test_a_prompt_that_opens_a_thought_is_closed_in_the_same_family(opens: str, closes: str) -> None:
    prompt = f"<user>What do {opens}tags{closes} mean?<assistant>{opens}"
    assert find_opening(prompt) == opens
    assert find_opening(f"{prompt}{closing_of(opens)}") == ""
    assert tell_apart(f"{opens}{closing_of(opens)}18").answer == "18"


def test_a_thought_left_empty_has_the_usual_lines() -> None:
    assert find_opening("<|im_start|>assistant\n<think>\n") == "<think>\n"
    assert closing_of("<think>\n") == "\n</think>\n\n"
    assert closing_of("<think>") == "</think>\n\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("18", Told("", "18")),
        ("", Told("", "")),
        ("Compare 3 < 4 and [1] of the list.", Told("", "Compare 3 < 4 and [1] of the list.")),
        ("Put it into a <think> tag.", Told("", "Put it into a <think> tag.")),
        ('return text.split("</think>")[-1]', Told("", 'return text.split("</think>")[-1]')),
        ("Close it with `</think>` at the end.", Told("", "Close it with `</think>` at the end.")),
        ("analysis of the text: 18", Told("", "analysis of the text: 18")),
        # several thoughts, and one behind the answer
        ("<think>a</think>b<think>c</think>d", Told("a\nb\nc", "d")),
        ("18\n<think>That was easy.</think>", Told("That was easy.", "18\n")),
        ("<think>a</think>18\n<think>Or is it", Told("a\n18\n\nOr is it", "", open=True)),
        # channels whose special tokens were dropped
        ("analysisWe add: 12. No, 18.assistantfinal18", Told("We add: 12. No, 18.", "18")),
        ("analysisWe add: 12. N", Told("We add: 12. N", "", open=True)),
        # a commentary beside the analysis, and an answer alone
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|>"
            "<|start|>assistant<|channel|>final<|message|>18",
            Told("a\n\nb", "18"),
        ),
        ("<|channel|>final<|message|>18", Told("", "18")),
        # wraps of the answer
        ("<think>a</think><response>18</response>", Told("a", "18")),
        ("<think>a</think>\n<response>18 is", Told("a", "18 is")),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>18<|END_RESPONSE|>", Told("a", "18")),
        ("<think>a</think><answer>18</answer>", Told("a", "<answer>18</answer>")),
    ],
)
def test_what_is_a_thought_and_what_is_not(text: str, told: Told) -> None:
    assert tell_apart(text) == told


@given(st.text())
def test_a_text_without_marks_is_all_answer(text: str) -> None:
    if not has_marks(text) and not text.startswith("analysis"):
        assert tell_apart(text) == Told("", text)


@given(st.lists(st.sampled_from([piece for pair in FAMILIES for piece in pair] + ["a", "\n", "18", "'"]), max_size=12))
def test_an_answer_holds_no_thought_that_is_not_closed(pieces: list[str]) -> None:
    text = "".join(pieces)
    told = tell_apart(text)

    assert 0 <= find_answer(text) <= len(text)
    assert not told.open or (told.answer == "" and find_answer(text) == len(text))
