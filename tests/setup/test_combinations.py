"""Every combination of strategy, retriever and place of work that a plan accepts runs, with the scripted parts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from retriever_kit import save_small_bert

from errorbook import plugins
from errorbook.adapters.retrievers.hidden import Hidden
from errorbook.adapters.targets.scripted import ScriptedTarget
from errorbook.config import parse
from errorbook.ledger.file import open_ledger
from errorbook.loop import run
from errorbook.records import Decision, Draft, Example, Neighbours
from errorbook.setup.plan import make_plan
from errorbook.strategies.table import STRATEGIES
from errorbook.strategies.table import Name as Strategy

RUN_FILE = """
[run]
name = "small"
cycles = 1

[target]
engine = "scripted"
accuracy = 0.4
gain = 0.4

[instructor]
kind = "{instructor}"

[[tasks]]
name = "arithmetic"
train = 13
dev = 26
test = 13

[strategy]
name = "{strategy}"
retriever = "{retriever}"
encoder = {encoder}

[train]
method = "scripted"

[compute]
engine = "{compute}"
"""
RETRIEVERS = plugins.names("retrievers")
PAIRS = [("contrast", name) for name in RETRIEVERS] + [
    (name, "auto") for name in get_args(Strategy) if name != "contrast"
]
# A cluster sees of a strategy who writes, which decides what the target is asked, and whether the mistakes' vectors are
# compared: one strategy for each of these ways. Of the retrievers, the hidden one takes its vectors from the cluster.
ON_RAY = [
    (name, "hidden" if beside == "contrasts" else "auto")
    for (_, beside), name in {(each.author, each.beside): each.name for each in reversed(STRATEGIES)}.items()
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The encoder of all runs, in a folder: the default one has to be fetched."""
    return save_small_bert(tmp_path_factory.mktemp("bert"), ["What is 12 + 7? Answer: 19"])


def run_small(
    folder: Path, encoder: str, strategy: str, retriever: str, compute: str = "local", instructor: str = "tutor"
) -> str:
    """Plan it, run it, and return what the ledger holds as one word."""
    text = RUN_FILE.format(
        strategy=strategy, retriever=retriever, compute=compute, instructor=instructor, encoder=json.dumps(encoder)
    )
    config = parse(text)
    assert make_plan(config).responses > 0
    run(config, folder)
    with open_ledger(folder) as ledger:
        assert ledger.count(Decision) == 1
        assert ledger.count(Draft) > 0 or instructor == "scripted"  # it writes nothing that it is not told
        assert (ledger.count(Neighbours) > 0) == (strategy == "contrast")
        return ledger.digest()


@pytest.mark.slow
@pytest.mark.parametrize("instructor", ["tutor", "noise", "scripted"])
@pytest.mark.parametrize(("strategy", "retriever"), PAIRS)
def test_every_combination_runs_here(
    strategy: str, retriever: str, instructor: str, encoder: str, tmp_path: Path
) -> None:
    run_small(tmp_path, encoder, strategy, retriever, instructor=instructor)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all: a run ends only what it started itself."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        ray.init(
            num_cpus=1,
            log_to_driver=False,
            logging_level="ERROR",
            include_dashboard=False,
            _system_config={"worker_niceness": 0},  # else its processes wait for those of other tests
        )
        yield
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("strategy", "retriever"), ON_RAY)
def test_every_kind_of_combination_runs_on_ray_and_gives_the_same(
    strategy: str, retriever: str, encoder: str, tmp_path: Path
) -> None:
    there = run_small(tmp_path / "ray", encoder, strategy, retriever, "ray")
    assert there == run_small(tmp_path / "local", encoder, strategy, retriever)


class _ReadOnlyTarget(ScriptedTarget):
    """Hands out arrays that may not be written to, as Ray does."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = super().embed(texts)
        vectors[0, 0] = np.nan
        vectors.flags.writeable = False
        return vectors


def test_a_retriever_writes_into_no_array_that_it_was_given() -> None:
    examples = [
        Example(id=str(number), task="t", split="train", question=f"What is {number}?", answer="1")
        for number in range(4)
    ]
    found = Hidden(_ReadOnlyTarget()).nearest(examples[:2], examples, 2)
    assert [len(row) for row in found] == [2, 2]
