"""Which questions of one split belong together: what makes one of them right or wrong does so to the others.

Found by itself: the same question again, nearly the same words with the same numbers, and a passage that some
questions share. What most questions say, or nearly all of one skill, is an instruction and makes nothing alike.
A question of a conversation is compared with its
earlier turns, and nearly the same words under another system message are not the same question.
Besides, whatever the data call a group; data that do so are searched for near copies only, so a user's own word ends a
wrong guess. Linear in the text. Questions of one template with other numbers are not found.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from errorbook.checks.hashes import Hashes, bands, hash_ngrams, hash_text, hash_words
from errorbook.checks.tokens import jaccard, numbers
from errorbook.records import Example, whole_question

NEAR = 0.6
"""Jaccard similarity of token triples from which two questions with the same numbers are nearly the same."""
SHORT, NEAR_IF_SHORT = 24, 0.8
"""The same for questions of fewer triples, of which one other word makes another, and if the data name groups."""
PASSAGE = 24
"""Tokens in a row, of words and signs, that two questions on one passage share at least."""
_LONGEST = 400  # tokens of a question that are searched for a passage
_SHINGLE = 3
_FEW = 12
_PART = 4  # what more than a quarter of all questions hold, and more than a dozen, is an instruction
_OF_A_KIND = 0.75  # and so is what so many of the questions of one skill hold
_TOKEN = re.compile(r"\w+|[^\w\s]")


def find_groups(examples: Sequence[Example]) -> tuple[tuple[str, ...], ...]:
    """The ids of the questions that belong together, groups of two or more; a question that is in none stands alone."""
    family = _Family(len(examples))
    named = [example.group for example in examples]
    family.join_equal([group or None for group in named])
    asks = [whole_question(example.before, example.question) for example in examples]
    texts = ["\n".join((ask, *sorted(example.choices))) for ask, example in zip(asks, examples, strict=True)]
    told = [_system_of(example) for example in examples]
    equal = zip(texts, told, strict=True)
    family.join_equal(["\n".join(" ".join(part.casefold().split()) for part in pair) for pair in equal])
    tokens = [_hashed(text) for text in texts]
    triples = [hash_ngrams(said, _SHINGLE) for said in tokens]
    instructs = _find_instructions(triples, [example.skill for example in examples])
    own = [found[~told] for found, told in zip(triples, instructs, strict=True)]
    _join_near(family, own, list(zip(texts, told, strict=True)), NEAR_IF_SHORT if any(named) else NEAR)
    if not any(named):
        asked = [len(_TOKEN.findall(ask)) for ask in asks]
        for one, other in _share_passages([said[:n] for said, n in zip(tokens, asked, strict=True)], instructs):
            family.join(one, other)
    return tuple(tuple(examples[place].id for place in places) for places in family.groups())


def count_shared(tasks: Sequence[Sequence[Example]]) -> int:
    """How often a question of one task, or a group of them, is in another task too: in three tasks is twice."""
    if len(tasks) < 2:
        return 0
    pooled = [replace(one, id=f"{number} {one.id}", group="") for number, own in enumerate(tasks) for one in own]
    found = [{one.partition(" ")[0] for one in group} for group in find_groups(pooled)]
    return sum(len(together) - 1 for together in found)


_Kept = tuple[tuple[str, ...], frozenset[int], str]
"""A question's numbers, its token triples, and the system message that it is asked under."""


class _Family:
    """Places that are joined, and so everything that is joined with them (union-find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def head(self, place: int) -> int:
        """The place that stands for all that are joined with this one."""
        parent = self._parent
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def join(self, one: int, other: int) -> None:
        one, other = self.head(one), self.head(other)
        self._parent[max(one, other)] = min(one, other)

    def join_equal(self, labels: Sequence[str | None]) -> None:
        """Join all places of one label."""
        first: dict[str, int] = {}
        for place, label in enumerate(labels):
            if label is not None:
                self.join(first.setdefault(label, place), place)

    def groups(self) -> list[list[int]]:
        """The places that are joined with others, in their order."""
        found: dict[int, list[int]] = {}
        for place in range(len(self._parent)):
            found.setdefault(self.head(place), []).append(place)
        return [places for places in found.values() if len(places) > 1]


def _join_near(family: _Family, triples: Sequence[Hashes], asked: Sequence[tuple[str, str]], threshold: float) -> None:
    """Join what is nearly the same: signs count as words here, for some questions hold little else."""
    kept: dict[int, _Kept] = {}
    seen: dict[int, list[int]] = {}
    for place, own in enumerate(triples):
        if not len(own):
            continue
        text, told = asked[place]
        figures = numbers(text)
        kept[place] = figures, frozenset(own.tolist()), told
        for key in bands(own, hash_text(figures)).tolist():
            holders = seen.setdefault(key, [])
            for other in holders:
                if family.head(other) != family.head(place) and _is_near(kept[other], kept[place], threshold):
                    family.join(other, place)
            # The first and the newest are enough: what is near to both ends of a chain is joined through them.
            seen[key] = [holders[0], place] if holders else [place]


def _is_near(one: _Kept, other: _Kept, threshold: float) -> bool:
    threshold = NEAR_IF_SHORT if min(len(one[1]), len(other[1])) < SHORT else threshold
    near = one[0] == other[0] and jaccard(one[1], other[1]) >= threshold
    return near and (one[2] == other[2] or _are_told_alike(one[2], other[2]))


def _are_told_alike(one: str, other: str) -> bool:
    """Whether two system messages are nearly the same, as with other names or another date in them."""
    return jaccard(*(frozenset(hash_ngrams(_hashed(text), _SHINGLE).tolist()) for text in (one, other))) >= NEAR


def _share_passages(tokens: Sequence[Hashes], instructs: Sequence[NDArray[np.bool_]]) -> Iterator[tuple[int, int]]:
    """Pairs of places whose questions share a long run of tokens that is no instruction, or template, for the most."""
    free = [_runs_of(said[:_LONGEST], told) for said, told in zip(tokens, instructs, strict=True)]
    hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *free])
    places = np.repeat(np.arange(len(free)), [len(run) for run in free])
    order = np.lexsort((places, hashes))
    hashes, places = hashes[order], places[order]
    linked = (hashes[1:] == hashes[:-1]) & (places[1:] != places[:-1])
    pairs = np.unique(np.stack([places[:-1][linked], places[1:][linked]], axis=1), axis=0)
    return ((int(one), int(other)) for one, other in pairs)


def _runs_of(tokens: Hashes, instructs: NDArray[np.bool_]) -> Hashes:
    """The runs of tokens of which a third at most is in triples of an instruction."""
    if len(tokens) < PASSAGE:
        return tokens[:0]
    inside = np.convolve(instructs, np.ones(_SHINGLE, dtype=np.int64))[: len(tokens)] > 0
    told = np.convolve(inside, np.ones(PASSAGE, dtype=np.int64), mode="valid")
    return hash_ngrams(tokens, PASSAGE)[told <= PASSAGE // 3]


def _find_instructions(rows: Sequence[Hashes], skills: Sequence[str]) -> list[NDArray[np.bool_]]:
    """For each question which of its hashes are of an instruction: in many of all questions, or in most of a skill's.

    A skill of fewer than three questions, or the only one, tells nothing.
    """
    hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *rows])
    places = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    known, ids = np.unique(hashes, return_inverse=True)
    once = np.unique(places * len(known) + ids) if len(known) else ids
    holders, held = once // max(len(known), 1), once % max(len(known), 1)
    told = np.bincount(held, minlength=len(known)) > max(_FEW, len(rows) // _PART)
    names, kinds = np.unique(np.array(skills, dtype=object).astype(str), return_inverse=True)
    if len(names) > 1:
        sizes = np.bincount(kinds)
        pairs, n = np.unique(held * len(names) + kinds[holders], return_counts=True)
        skill = pairs % len(names)
        told[pairs[(n > 2) & (n >= _OF_A_KIND * sizes[skill]) & (names[skill] != "")] // len(names)] = True
    bounds = itertools.accumulate((len(row) for row in rows), initial=0)
    return [told[ids[start:end]] for start, end in itertools.pairwise(bounds)]


def _system_of(example: Example) -> str:
    """What a question is told beforehand: a question about another document is another question."""
    return "\n".join(message.content for message in example.before if message.role == "system")


def _hashed(text: str) -> Hashes:
    """One hash for each token."""
    return hash_words(_TOKEN.findall(text.casefold()))
