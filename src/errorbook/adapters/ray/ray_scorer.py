"""A scorer whose programs run on every node of a Ray cluster: the sandbox fanned out.

Only scorers that compute their marks go there. One that marks response by response is quick, and one that buys its
marks keeps them in a file that a single process may write: both stay on this machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from errorbook import plugins
from errorbook.adapters.ray.ray_cluster import Compute, connect, list_nodes, require, require_same_version
from errorbook.adapters.ray.ray_pool import Job, Pool
from errorbook.checks.verdicts import require_verdicts
from errorbook.interfaces import BatchScorer, Scorer
from errorbook.records import Example, NoVerdict, Score
from errorbook.version import __version__

_CHUNKS = 3
"""Chunks for each node and call: enough that a slow one does not keep the others waiting for long."""
_SMALLEST = 8


def ray_scorer(name: str, options: Mapping[str, Any], compute: Compute) -> Scorer:
    """The scorer plugin `name`, on a cluster if that can help it, else as it is.

    Raises:
        UserError: The plugin or one of its options is wrong.
    """
    inner: Scorer = plugins.create("scorers", name, options)
    if not isinstance(inner, BatchScorer) or "store" in plugins.list_options("scorers", name):
        return inner
    return RayScorer(name, options, compute, inner.name)


class RayScorer:
    """Implements `Scorer` and `BatchScorer`. One process on each node; it takes no processor away from the targets'.

    (While programs run, the processors of a node with GPUs are idle, and elsewhere they are shared.)
    """

    def __init__(self, name: str, options: Mapping[str, Any], compute: Compute, known_as: str) -> None:
        self._plugin = name
        self._options = dict(options)
        self._compute = compute
        self._name = known_as
        self._pool: Pool | None = None

    @property
    def name(self) -> str:
        """The inner scorer's name."""
        return self._name

    def score(self, example: Example, text: str) -> Score:
        """Judge one response. Raises UnjudgedError if that failed."""
        return require_verdicts(self.score_all([(example, text)]), "responses")[0]

    def score_all(self, pairs: Sequence[tuple[Example, str]]) -> list[Score | NoVerdict]:
        """Judge many, on all nodes, and return the scores in the order of the pairs.

        Raises:
            UserError: A node cannot judge them, as one without a sandbox, or the cluster cannot be reached.
            StageError: Nodes were lost again and again without anything being finished.
        """
        if not pairs:
            return []
        pool, nodes = self._open_pool()
        size = max(_SMALLEST, -(-len(pairs) // (_CHUNKS * nodes)))
        chunks = [list(pairs[start : start + size]) for start in range(0, len(pairs), size)]
        done = dict(pool.run([_score_job(chunk) for chunk in chunks]))
        return [score for number in range(len(chunks)) for score in done[number]]

    def close(self) -> None:
        """End the processes; the next use starts them again."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _open_pool(self) -> tuple[Pool, int]:
        """The pool and the number of nodes that it has."""
        ray = connect(self._compute)
        if self._pool is None:
            actor = ray.remote(num_cpus=0)(_Worker)
            turns = itertools.count()

            def start() -> Any:
                nodes = list_nodes(ray)
                place = nodes[next(turns) % len(nodes)]["NodeID"]
                strategies = require("ray.util.scheduling_strategies")
                bound = strategies.NodeAffinitySchedulingStrategy(place, soft=False)
                return actor.options(scheduling_strategy=bound).remote(self._plugin, self._options)

            self._pool = Pool(ray, start=start, size=lambda: len(list_nodes(ray)), greet=require_same_version)
        return self._pool, max(1, len(list_nodes(ray)))


def _score_job(chunk: list[tuple[Example, str]]) -> Job:
    return lambda worker: worker.score.remote(chunk)


class _Worker:
    """A node's side: the inner scorer."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self._name = name
        self._options = options
        self._inner: Any = None

    def ready(self) -> str:
        """Version of this project."""
        return __version__

    def close(self) -> None:
        """There is nothing to free."""

    def score(self, pairs: list[tuple[Example, str]]) -> list[Score | NoVerdict]:
        """The scores in the order of the pairs."""
        if self._inner is None:
            self._inner = plugins.create("scorers", self._name, self._options)
        return list(self._inner.score_all(pairs))
