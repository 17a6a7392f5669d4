"""Options weighed by likelihood: the numbers against a plain forward pass, and what an evaluation makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from errorbook.adapters.scorers.choice import Choice
from errorbook.adapters.targets import conversation, loading
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.adapters.targets.transformers import TransformersTarget
from errorbook.errors import ConfigError, ModelError
from errorbook.evaluate import evaluate, identify
from errorbook.interfaces import Likelihood, OptionTask
from errorbook.records import Completion, Evaluation, Example, Generation, Response, Split, digest, encode

PROMPTS = ["Which animal says meow?", "Hi", "", "Name a colour. " * 4, "1 + 1"]
OPTIONS = [["A", "B", "C"], ["yes", "no"], ["Paris", "a"], ["red", "green", "blue", "B"], ["2", "two"]]


class Quiz:
    """Four questions with four options each; the right letter goes round."""

    name = "quiz"
    scorer = "choice"
    max_new_tokens = 8

    def __init__(self, by_likelihood: bool = True) -> None:
        self.by_likelihood = by_likelihood

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        options = ("one", "two", "three", "four")
        return [
            Example(id=str(at), task="quiz", split=split, question=f"Take {name}.", answer="ABCD"[at], choices=options)
            for at, name in enumerate(options[:n])
        ]

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=False))
        return f"{question}\n{listed}\nAnswer with the letter."

    def completion(self, solution: str, answer: str) -> str:
        return answer


class Speaker:
    """A target that writes answers and tells no likelihoods."""

    fingerprint = "f"
    base = "speaker"

    def generate(self, prompts: Sequence[str], settings: Generation) -> Iterator[Completion]:
        for index, prompt in enumerate(prompts):
            yield Completion(index=index, text="B", tokens=1, truncated=False, prompt_hash=digest(prompt))


def weighed(target: Any, prompts: Sequence[str] = PROMPTS, options: Any = OPTIONS) -> list[list[float]]:
    found = dict(target.log_likelihoods(prompts, options))
    return [list(found[index]) for index in range(len(prompts))]


def by_hand(folder: Path, prompt: str, option: str) -> float:
    """One row, no padding, no cache: the sum of the log-probabilities of the option's tokens."""
    import torch

    model, tokenizer = loading.load_model(str(folder), "cpu", "float32"), loading.load_tokenizer(str(folder))
    before = loading.prompt_ids(tokenizer, conversation.render(tokenizer, prompt))
    after = tokenizer(option, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        likely = model(input_ids=torch.tensor([before + after])).logits[0].log_softmax(dim=-1)
    return sum(float(likely[len(before) + at - 1, token]) for at, token in enumerate(after))


@pytest.mark.parametrize("batch_size", [1, 5, 128])
def test_likelihoods_are_those_of_a_plain_forward_pass(tiny_model: Path, batch_size: int) -> None:
    target = TransformersTarget(str(tiny_model), device="cpu", dtype="float32", batch_size=batch_size)

    for prompt, group, found in zip(PROMPTS, OPTIONS, weighed(target), strict=True):
        assert found == pytest.approx([by_hand(tiny_model, prompt, option) for option in group], abs=1e-3)


def test_a_batch_that_does_not_fit_is_halved(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaForCausalLM

    expected = weighed(TransformersTarget(str(tiny_model), device="cpu", dtype="float32"))
    forward = LlamaForCausalLM.forward

    def limited(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].shape[0] > 4:
            raise MemoryError
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", limited)
    found = weighed(TransformersTarget(str(tiny_model), device="cpu", dtype="float32"))
    for left, right in zip(found, expected, strict=True):
        assert left == pytest.approx(right, abs=1e-3)
    with pytest.raises(ModelError, match="does not fit in memory"):
        weighed(TransformersTarget(str(tiny_model), device="cpu", dtype="float32"), ["Hi"], [["a"] * 5])


def test_an_empty_option_is_an_error(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="empty"):
        weighed(TransformersTarget(str(tiny_model), device="cpu", dtype="float32"), ["Hi"], [["a", ""]])


def test_the_scripted_target_prefers_what_it_would_write() -> None:
    target = ScriptedTarget(accuracy=1.0, answers={"Hi": "no"})
    assert isinstance(target, Likelihood)
    [[yes, no]] = weighed(target, ["Hi"], [["yes", "no"]])
    assert math.exp(no) == pytest.approx(0.9)
    assert math.exp(yes) == pytest.approx(0.1)


def test_the_likeliest_letter_is_the_response(tiny_model: Path) -> None:
    target, task = TransformersTarget(str(tiny_model), device="cpu", dtype="float32"), Quiz()
    assert isinstance(task, OptionTask)
    examples = task.examples("dev", None, 0)
    evaluation = identify(target, "base", task, "dev", examples)
    [responses] = evaluate(target, task, Choice(), evaluation, examples)

    assert evaluation.generation.answer == "options"
    prompts = [task.prompt(example.question, example.choices) for example in examples]
    for response in responses:
        at = [example.id for example in examples].index(response.example)
        likely = [by_hand(tiny_model, prompts[at], letter) for letter in "ABCD"]
        assert response.text == "ABCD"[likely.index(max(likely))]
        assert response.score.verdict == ("right" if response.text == examples[at].answer else "wrong")
        assert response.score.method == "likelihood"
        shown = [float(part.split()[1]) for part in response.score.evidence.split(", ")]
        assert shown == pytest.approx(likely, abs=2e-3)
        assert not response.truncated


class Weights(Speaker):
    """A target that is told the weights of the options, the same for every question."""

    def __init__(self, *weights: float) -> None:
        self.weights = list(weights)

    def log_likelihoods(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Iterator[tuple[int, list[float]]]:
        yield from enumerate([self.weights] * len(prompts))


def chosen(choices: Sequence[str], *weights: float) -> list[Response]:
    """The responses to forty questions with these options."""
    examples = [
        Example(id=str(n), task="quiz", split="dev", question=f"{n}?", answer="A", choices=tuple(choices))
        for n in range(40)
    ]
    target: Any = Weights(*weights)
    [responses] = evaluate(target, Quiz(), Choice(), identify(target, "base", Quiz(), "dev", examples), examples)
    return sorted(responses, key=lambda response: int(response.example))


def test_of_equally_likely_options_no_place_is_favoured() -> None:
    there = chosen(["iron", "cork", "gold"], -2.0, -1.0, -1.0)
    turned = chosen(["gold", "cork", "iron"], -1.0, -1.0, -2.0)

    assert there == chosen(["iron", "cork", "gold"], -2.0, -1.0, -1.0)
    assert 10 < sum(one.text == "B" for one in there) < 30
    assert [{"B": "cork", "C": "gold"}[one.text] for one in there] == [
        {"B": "cork", "A": "gold"}[one.text] for one in turned
    ]
    assert {one.score.method for one in there} == {"likelihood, drawn from equals"}
    assert {(one.text, one.score.method) for one in chosen(["iron", "cork"], -1.0, -1.5)} == {("A", "likelihood")}


def test_a_weight_that_is_no_number_is_no_option() -> None:
    low, none = -math.inf, math.nan
    assert {one.text for one in chosen(["iron", "cork", "gold"], none, low, none)} == {"B"}
    assert {(one.text, one.score.verdict) for one in chosen(["iron", "cork"], none, none)} == {("", "unscorable")}


def test_the_two_ways_of_answering_are_two_evaluations() -> None:
    target, examples = ScriptedTarget(), Quiz().examples("dev", None, 0)
    weighing = identify(target, "base", Quiz(), "dev", examples)
    writing = identify(target, "base", Quiz(by_likelihood=False), "dev", examples)
    assert (weighing.generation.answer, writing.generation.answer) == ("options", "text")
    assert weighing.hash != writing.hash


def test_evaluations_of_older_runs_keep_their_hash() -> None:
    evaluation = identify(ScriptedTarget(), "base", Quiz(by_likelihood=False), "dev", Quiz().examples("dev", None, 0))
    old = encode(evaluation)
    assert b"answer" not in old
    assert evaluation.hash == digest("Evaluation", old)
    assert msgspec.json.decode(old, type=Evaluation).hash == evaluation.hash


def test_a_target_without_likelihoods_is_refused_with_the_fix() -> None:
    examples = Quiz().examples("dev", None, 0)
    speaker: Any = Speaker()
    with pytest.raises(ConfigError, match="set answer = 'text' or use engine = 'transformers'"):
        identify(speaker, "base", Quiz(), "dev", examples)
    evaluation = identify(speaker, "base", Quiz(by_likelihood=False), "dev", examples)
    [responses] = evaluate(speaker, Quiz(by_likelihood=False), Choice(), evaluation, examples)
    assert {response.text for response in responses} == {"B"}


def test_examples_without_options_are_answered_in_text() -> None:
    example = Example(id="1", task="quiz", split="dev", question="Take one.", answer="one")
    assert identify(ScriptedTarget(), "base", Quiz(), "dev", [example]).generation.answer == "text"


@pytest.mark.slow
def test_the_real_model_knows_a_common_word_from_a_rare_one() -> None:
    target = TransformersTarget("smollm2-135m-instruct", device="cpu")
    questions = {"What is the capital of France?": ["The", "xylophone"], "What is 2 + 2?": ["2", "zebra"]}
    odds = weighed(target, list(questions), list(questions.values()))
    assert len(odds) == 2
    assert all(rare < common < 0 for common, rare in odds)
