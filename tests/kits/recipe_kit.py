"""A recipe of the run file's defaults with a few values of a test's own."""

from __future__ import annotations

from typing import Any

from errorbook.records import Recipe
from errorbook.train import TrainSection


def recipe_of(*, seed: int = 0, **values: Any) -> Recipe:
    return TrainSection(**values).recipe(seed)
