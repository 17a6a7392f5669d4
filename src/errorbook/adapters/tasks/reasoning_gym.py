"""Any generator of Reasoning Gym as a task; its answers are judged by the generator itself (see the scorer).

A fixed number of questions is generated once, from the option `seed` and not from the run's, and divided by hash.
Each example carries the recipe from which the scorer makes its entry again, in `tests`: many generators accept more
than one answer, and only the whole entry tells which.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from annotated_types import Interval

from errorbook.adapters.scorers.reasoning_gym import EntryRecipe
from errorbook.adapters.tasks.collection import Collection, Loaded, Style
from errorbook.adapters.tasks.items import Item, make_examples
from errorbook.adapters.tasks.splits import normalise
from errorbook.errors import ConfigError, DataError
from errorbook.plugins import Seed, Tokens
from errorbook.records import Example

_INSTRUCTION = "Think step by step and be brief. End with the final answer alone, between <answer> and </answer>."
_NEEDED = "Reasoning Gym is not installed; run: pip install 'errorbook[reasoning-gym]'."


def reasoning_gym(
    dataset: str,
    *,
    name: str = "reasoning_gym",
    config: dict[str, Any] | None = None,
    size: Annotated[int, Interval(ge=1, le=10_000_000)] = 1000,
    seed: Seed = 0,
    max_new_tokens: Tokens = 400,
) -> Collection:
    """A generator of Reasoning Gym by its name, such as "chain_sum".

    Args:
        dataset: The generator's name.
        name: What the task is called in the ledger.
        config: The generator's own options.
        size: How many questions to generate, for all splits together.
        seed: The seed of the questions; it does not depend on the run's. Generators count on from it, so two tasks
            with seeds closer together than `size` share questions.
        max_new_tokens: Cap on one response, in tokens.
    """
    style = Style(
        name=name,
        scorer="reasoning_gym",
        max_new_tokens=max_new_tokens,
        prompt=lambda question, choices: f"{question}\n\n{_INSTRUCTION}",
        completion=_completion,
    )
    recipe = EntryRecipe(dataset=dataset, seed=seed, size=size, config=config or {})
    return Collection(style, lambda: _load(name, recipe))


def _completion(solution: str, answer: str) -> str:
    return "\n".join(part for part in (solution, f"<answer>{answer}</answer>") if part)


def _load(name: str, recipe: EntryRecipe) -> Loaded:
    try:
        import reasoning_gym as library
    except ImportError as error:
        raise DataError(_NEEDED) from error
    try:
        entries = library.create_dataset(recipe.dataset, seed=recipe.seed, size=recipe.size, **recipe.config)
    except (ValueError, TypeError, AssertionError) as error:
        raise ConfigError(
            f"The generator '{recipe.dataset}' cannot be made ({error}); check its name and config."
        ) from error
    seen: set[str] = set()
    items: list[Item] = []
    for index in range(recipe.size):
        entry = entries[index]
        question = entry["question"].strip()
        if normalise(question) not in seen:
            tests = msgspec.json.encode(msgspec.structs.replace(recipe, index=index)).decode()
            items.append(Item(question, str(entry["answer"]), tests=tests, skill=recipe.dataset))
        seen.add(normalise(question))
    examples: list[Example] = make_examples(name, [(item, "train") for item in items])
    origin = f"reasoning_gym {library.__version__} {msgspec.json.encode(recipe).decode()}"
    return Loaded(examples, origin, f"'{recipe.dataset}'", "raise the task's 'size'")
