"""Every strategy and control, and what it asks of a cycle. The only list of them: all else reads it off here.

A strategy spends a cycle's samples; a control spends as many of them in another way, to tell what the strategy adds.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from errorbook.records import Writing

Name = Literal["error", "contrast", "cluster", "undirected", "augment", "imitate", "gold", "self", "reweight"]
Basis = Literal["mistakes", "tasks", "questions", "missed", "skills"]
"""What a strategy goes out from: wrong responses, whole tasks, train questions drawn whatever was answered, those with
a right answer among several (the usually missed ones first), or those whose skills are missing."""
Author = Literal["instructor", "data", "target"]


class Strategy(NamedTuple):
    """What one strategy asks of a cycle.

    `writes` is a new question, a variation of a train question, or only a solution of one that keeps its own wording;
    `author` is who gives the solution. `beside` is what the instructor is shown beside a wrong response. `about` is one
    clause for people.
    """

    name: Name
    about: str
    basis: Basis
    writes: Writing = "question"
    author: Author = "instructor"
    beside: Literal["nothing", "contrasts", "alike"] = "nothing"

    @property
    def diagnoses(self) -> bool:
        """Whether the instructor is shown wrong responses, and analyses each of them."""
        return self.basis == "mistakes"

    @property
    def asks_instructor(self) -> bool:
        """Whether the instructor is asked at all."""
        return self.author == "instructor"

    @property
    def restates(self) -> bool:
        """Whether samples keep the wording of a train question, whose answer is known."""
        return self.writes == "solution"


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("error", "new questions against each wrong response", "mistakes"),
    Strategy(
        "contrast",
        "new questions against each wrong response, at the border to what was answered right",
        "mistakes",
        beside="contrasts",
    ),
    Strategy("cluster", "new questions against groups of like mistakes", "mistakes", beside="alike"),
    Strategy("undirected", "new questions for the task, without sight of a response", "tasks"),
    Strategy(
        "augment",
        "variations of train questions, right and wrong alike, without sight of a response",
        "questions",
        "variation",
    ),
    Strategy("imitate", "the instructor's own solutions of train questions", "questions", "solution"),
    Strategy("gold", "the worked solutions that the train questions come with", "questions", "solution", "data"),
    Strategy("self", "the target's own right answers to train questions", "missed", "solution", "target"),
    Strategy("reweight", "train questions of the skills that are missing", "skills", "solution", "data"),
)
NAMES: tuple[Name, ...] = get_args(Name)
_BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}


def find(name: str) -> Strategy:
    """The strategy of this name; KeyError if there is none, which the run file's check rules out."""
    return _BY_NAME[name]  # type: ignore[index]
