"""The addresses that `benchmarks.ui` asks for: every kind of page of the book, each with many filters and words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlencode

from benchmarks.ui_ledger import KINDS, REASONS, SKILLS, SPLITS, WORDS
from errorbook.ledger.file import open_ledger
from errorbook.records import Call, Draft
from errorbook.report.fates import FATES
from errorbook.web.catalogue.index import Catalogue
from errorbook.web.catalogue.lists import DRAFT_SORTS, ITEM_SORTS
from errorbook.web.catalogue.records import DraftFilter, ItemFilter

RUN = "/runs/big"


def addresses(run: Path, cache: Path, rounds: int) -> dict[str, list[str]]:
    """`rounds` addresses of each kind of page. The catalogue in the cache must be whole."""
    dice = random.Random(7)
    catalogue = Catalogue.open(run, cache / "catalogues")
    try:
        items, drafts = list(islice(_items(catalogue), 400)), list(islice(_drafts(catalogue), 200))
        deep = [f"{RUN}/book?{urlencode({'sort': sort, 'after': after})}" for sort, after in _deep(catalogue)]
    finally:
        catalogue.close()
    with open_ledger(run) as ledger:
        calls = [ledger.find(Draft, key) for key in islice(ledger.keys(Draft, 1), 50)]
        known = [draft.call for draft in calls if draft and ledger.get(Call, draft.call)]
    compared = [
        {"a": "big:base", "b": "big:final", "task": "sums", "split": split, "change": change}
        for split in SPLITS
        for change in ("regressions", "gains", "all")
    ]
    kinds = {
        "runs": ["/"],
        "run": [RUN],
        "effects": [f"{RUN}/effects"],
        "book": [f"{RUN}/book?{urlencode(_filter(dice))}" for _ in range(rounds)],
        "book, further on": deep,
        "search": [f"{RUN}/book?{urlencode({**_filter(dice, few=True), 'q': _words(dice)})}" for _ in range(rounds)],
        "question": [f"{RUN}/book/{item}?{urlencode(_filter(dice))}" for item in items],
        "samples": [f"{RUN}/samples?{urlencode(_draft_filter(dice))}" for _ in range(rounds)],
        "search samples": [f"{RUN}/samples?{urlencode({'q': _words(dice)})}" for _ in range(rounds)],
        "sample": [f"{RUN}/samples/{draft}" for draft in drafts],
        "call": [f"{RUN}/calls/{call}" for call in known],
        "compare": [f"/compare?{urlencode(one)}" for one in compared],
    }
    return {name: [some[n % len(some)] for n in range(rounds)] for name, some in kinds.items() if some}


def _items(catalogue: Catalogue) -> Iterator[str]:
    for fate in FATES:
        for sort in ("id", "-id", "drafts"):
            for item in catalogue.items(ItemFilter(fate=fate), sort, size=20).items:
                yield "/".join(quote(part, safe="") for part in item.id)


def _drafts(catalogue: Catalogue) -> Iterator[str]:
    for sort in DRAFT_SORTS:
        for row in catalogue.drafts(DraftFilter(), sort).drafts:
            yield row.draft


def _deep(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    for sort in ITEM_SORTS:
        after = ""
        for _ in range(8):
            after = catalogue.items(ItemFilter(), sort, after, size=500).after
            yield sort, after


def _filter(dice: random.Random, *, few: bool = False) -> dict[str, str]:
    """A few wishes, often none."""
    wishes = {
        "fate": dice.choice(FATES),
        "skill": dice.choice(SKILLS),
        "kind": dice.choice(KINDS),
        "split": dice.choice(SPLITS),
        "verdict": dice.choice(("right", "wrong", "unscorable")),
        "cycle": str(dice.randrange(1, 7)),
    }
    chosen = dice.sample(sorted(wishes), k=dice.randrange(2 if few else 4))
    return {**{name: wishes[name] for name in chosen}, "sort": dice.choice(("", "-")) + dice.choice(ITEM_SORTS)}


def _draft_filter(dice: random.Random) -> dict[str, str]:
    wishes = {
        "outcome": dice.choice(("sample", "rejected")),
        "reason": dice.choice(REASONS),
        "kind": dice.choice(KINDS),
        "cycle": str(dice.randrange(1, 6)),
    }
    chosen = dice.sample(sorted(wishes), k=dice.randrange(3))
    return {**{name: wishes[name] for name in chosen}, "sort": dice.choice(DRAFT_SORTS)}


def _words(dice: random.Random) -> str:
    """What a search is for: a rare word, a frequent one, the beginning of one, several, an id."""
    word = WORDS[int(len(WORDS) * dice.random() ** 3)]
    number = dice.randrange(10_000)
    return dice.choice((word, WORDS[-1 - number % 500], word[:2], f"{word} {WORDS[number % 40]}", f"train-{number:06}"))
