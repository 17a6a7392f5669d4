"""Questions to a catalogue: which groups a filter lets through, how many rows that leaves, and in which order.

Everything but the rows of a page is answered from the groups, which are read once for every state of the catalogue.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast, get_args

from errorbook.records import Split, Verdict
from errorbook.report.fates import FATES, Fate, fate_of
from errorbook.report.records import DraftOutcome
from errorbook.web.catalogue.paging import Band, Found, Key, Order
from errorbook.web.catalogue.parts import Count, DraftFacets, DraftFilter, DraftRow, Facets, Item, ItemFilter, ItemId
from errorbook.web.catalogue.schema import among
from errorbook.web.catalogue.writing import LETTERS

EXCERPT = 300
"""Characters of a text that a list shows."""
VERDICTS: dict[str, Verdict] = {letter: verdict for verdict, letter in LETTERS.items()}
_ITEMS = Order("items", ("example",), "items_in_order", "items_by_group")
_DRAFTS = Order("drafts", ("id",), "drafts_in_order", "drafts_by_group")
_OUTCOMES = get_args(DraftOutcome)


class ItemGroup(NamedTuple):
    """Items that are alike in everything but their text."""

    group: int
    place: int
    task: str
    split: Split
    skill: str
    kind: str
    path: str
    n: int
    fate: Fate

    def letter(self, position: int) -> str:
        """The verdict by the checkpoint at this position of the chain, "-" where it did not answer."""
        return self.path[position] if position < len(self.path) else "-"


class DraftGroup(NamedTuple):
    """Drafts that are alike in everything but their text."""

    group: int
    task: str
    outcome: DraftOutcome
    reason: str
    kind: str
    cycle: int
    n: int


class Overview(NamedTuple):
    """One state of a catalogue, without its rows. `starts` is the place in the chain that each cycle began with."""

    version: int
    starts: dict[int, int]
    trained: frozenset[int]
    items: dict[int, ItemGroup]
    drafts: dict[int, DraftGroup]


def version_of(sql: sqlite3.Connection) -> int:
    """A number that every change of the catalogue makes larger."""
    row = sql.execute("SELECT value FROM state WHERE name = 'version'").fetchone()
    return 0 if row is None else int(row[0])


def overview(sql: sqlite3.Connection) -> Overview:
    """Read the groups."""
    cycles = sql.execute("SELECT cycle, position, trained FROM cycles ORDER BY cycle").fetchall()
    items = sql.execute(
        "SELECT grp, place, task, split, skill, kind, path, g.n FROM item_groups AS g JOIN places USING (place)"
        " WHERE g.n > 0 AND path <> ''"
    )
    drafts = sql.execute("SELECT grp, task, outcome, reason, kind, cycle, n FROM draft_groups WHERE n > 0")
    return Overview(
        version=version_of(sql),
        starts={cycle: position for cycle, position, _ in cycles if position is not None},
        trained=frozenset(cycle for cycle, _, trained in cycles if trained),
        items={row[0]: ItemGroup._make((*row, fate_of(path_of(row[6])))) for row in items},
        drafts={row[0]: DraftGroup(*row) for row in drafts},
    )


def path_of(letters: str) -> tuple[Verdict, ...]:
    """The verdicts of the checkpoints that answered."""
    return tuple(VERDICTS[letter] for letter in letters if letter != "-")


# items ----------------------------------------------------------------------------------------------------------


def item_groups(known: Overview, filter: ItemFilter) -> list[ItemGroup]:
    """The groups that a filter lets through, its text aside."""
    wanted, position, letters = _wanted(known, filter)
    return [
        group
        for group in known.items.values()
        if group.letter(position) in letters and all(group[place] == value for place, value in wanted)
    ]


def item_facets(known: Overview, filter: ItemFilter, counts: Mapping[int, int] | None) -> Facets:
    """Counts by value; `counts` says how many rows of each group a search found."""
    tallies: dict[str, Counter[str]] = {name: Counter() for name in Facets.__struct_fields__}
    places = {name: ItemGroup._fields.index(name) for name in _NAMES}
    wanted, position, letters = _wanted(known, filter)
    for group in known.items.values():
        n = group.n if counts is None else counts.get(group.group, 0)
        missed = [place for place, value in wanted if group[place] != value]
        if not n or len(missed) > 1:
            continue
        letter = group.letter(position)
        if letter in letters:
            for name, place in places.items():
                if not missed or place in missed:
                    tallies[name][str(group[place])] += n
        if not missed:
            if letter != "-":
                tallies["verdict"][VERDICTS[letter]] += n
            for cycle, start in known.starts.items():
                if group.letter(start) in letters:
                    tallies["cycle"][str(cycle)] += n
    orders: dict[str, Sequence[str]] = {
        "task": list(dict.fromkeys(group.task for group in sorted(known.items.values(), key=lambda one: one.place))),
        "split": get_args(Split),
        "fate": FATES,
        "verdict": get_args(Verdict),
    }
    return Facets(**{name: _counts(tally, orders.get(name)) for name, tally in tallies.items()})


_NAMES = ("task", "split", "skill", "kind", "fate")


def _wanted(known: Overview, filter: ItemFilter) -> tuple[list[tuple[int, str]], int, str]:
    """What a group must hold, which position of its path counts, and the letters that may stand there."""
    values = [(ItemGroup._fields.index(name), getattr(filter, name)) for name in _NAMES]
    position = known.starts.get(filter.cycle, _NOWHERE) if filter.cycle else -1
    letters = "".join(VERDICTS) if not filter.verdict else LETTERS.get(cast("Verdict", filter.verdict), "?")
    return [(place, value) for place, value in values if value], position, letters


_NOWHERE = 1 << 30
"""A position beyond every path."""


def item_bands(groups: Sequence[ItemGroup], sort: str) -> list[Band]:
    """The groups in the order of a sort, those that sort alike together."""
    found: dict[Key, list[ItemGroup]] = {}
    for group in groups:
        found.setdefault(item_band(group, sort), []).append(group)
    return [
        Band(key, [group.group for group in members], sum(group.n for group in members), _item_order(sort, members[0]))
        for key, members in sorted(found.items())
    ]


def item_band(group: ItemGroup, sort: str) -> Key:
    """What a group sorts by. Within most bands the order is that of the example ids."""
    name = sort.removeprefix("-")
    if name in _RANKED:
        return (0,) if group.kind else (1, group.place)
    if name in ("skill", "kind"):
        value = str(getattr(group, name))
        return (int(not value), value, group.place)
    return (FATES.index(group.fate), group.place) if name == "fate" else (group.place,)


_RANKED = {"newest": "by_newest", "drafts": "by_drafts"}
"""Sorts by a number of each item: only what was diagnosed has one."""


def _item_order(sort: str, group: ItemGroup) -> Order:
    column = _RANKED.get(sort.removeprefix("-"))
    if column is not None and group.kind:
        keys = (column, "place", "example")
        return Order("items", keys, f"items_{column}", "items_by_group", "r.by_newest < 0")
    return _ITEMS._replace(where=f"r.place = {group.place:d}")


def item_at(sql: sqlite3.Connection, known: Overview, id: ItemId) -> tuple[int, ItemGroup] | None:
    """An item's number and group, or None."""
    row = sql.execute(
        "SELECT id, grp FROM items JOIN places USING (place) WHERE task = ? AND split = ? AND example = ?",
        [_text(value) for value in id],
    ).fetchone()
    return (row[0], known.items[row[1]]) if row and row[1] in known.items else None


def item_rows(sql: sqlite3.Connection, known: Overview, found: Sequence[Found]) -> tuple[Item, ...]:
    """The rows of a page, in its order."""
    rows = sql.execute(
        "SELECT i.id, i.grp, i.example, -i.by_drafts, i.samples, i.corrected, s.question, s.answer, s.misconception"
        " FROM items AS i JOIN item_search AS s ON s.rowid = i.id"
        " WHERE i.id IN (SELECT value FROM json_each(?))",
        (among([row.id for row in found]),),
    )
    made = {row[0]: _item(known.items[row[1]], row[2:]) for row in rows}
    return tuple(made[row.id] for row in found if row.id in made)


def _item(group: ItemGroup, row: tuple[str, int, int, int, str, str, str]) -> Item:
    example, drafts, samples, corrected, question, answer, misconception = row
    return Item(
        task=group.task,
        split=group.split,
        example=example,
        skill=group.skill,
        kind=group.kind,
        misconception=misconception,
        fate=group.fate,
        path=path_of(group.path),
        question=question[:EXCERPT],  # not cut by SQLite, for which a NUL ends a text
        response_excerpt=answer[:EXCERPT],
        drafts=drafts,
        samples=samples,
        corrected=bool(corrected),
    )


# drafts ---------------------------------------------------------------------------------------------------------


def draft_groups(known: Overview, filter: DraftFilter) -> list[DraftGroup]:
    """The groups that a filter lets through, its text aside."""
    return [group for group in known.drafts.values() if not _refused(filter, group)]


def draft_facets(known: Overview, filter: DraftFilter, counts: Mapping[int, int] | None) -> DraftFacets:
    """Counts by value, as of items."""
    tallies: dict[str, Counter[str]] = {name: Counter() for name in DraftFacets.__struct_fields__}
    for group in known.drafts.values():
        n = group.n if counts is None else counts.get(group.group, 0)
        missed = _refused(filter, group)
        if n and len(missed) <= 1:
            for name in missed or tallies:
                tallies[name][str(getattr(group, name))] += n
    cycles = [str(cycle) for cycle in sorted({group.cycle for group in known.drafts.values()})]
    orders: dict[str, Sequence[str]] = {"outcome": _OUTCOMES, "cycle": cycles}
    return DraftFacets(**{name: _counts(tally, orders.get(name)) for name, tally in tallies.items()})


def _refused(filter: DraftFilter, group: DraftGroup) -> list[str]:
    return [
        name for name in DraftFacets.__struct_fields__ if getattr(filter, name) not in ("", 0, getattr(group, name))
    ]


def draft_bands(groups: Sequence[DraftGroup], sort: str) -> list[Band]:
    """The groups in the order of a sort; within a band the newest drafts come first."""
    name = sort.removeprefix("-")
    found: dict[Key, list[DraftGroup]] = {}
    for group in groups:
        value = getattr(group, name) if name in DraftFacets.__struct_fields__ else ""
        key: Key = (_OUTCOMES.index(value),) if name == "outcome" else (int(value == ""), value)
        found.setdefault(key, []).append(group)
    return [
        Band(key, [group.group for group in members], sum(group.n for group in members), _DRAFTS)
        for key, members in sorted(found.items())
    ]


def draft_rows(sql: sqlite3.Connection, known: Overview, found: Sequence[Found]) -> tuple[DraftRow, ...]:
    """The rows of a page, in its order."""
    rows = sql.execute(
        "SELECT d.id, d.grp, d.hash, coalesce(i.example, ''), d.checked, d.since, s.question"
        " FROM drafts AS d JOIN draft_search AS s ON s.rowid = d.id LEFT JOIN items AS i ON i.id = d.item"
        " WHERE d.id IN (SELECT value FROM json_each(?))",
        (among([row.id for row in found]),),
    )
    made = {row[0]: _draft(known, known.drafts[row[1]], row[2:]) for row in rows}
    return tuple(made[row.id] for row in found if row.id in made)


def _draft(known: Overview, group: DraftGroup, row: tuple[str, str, str, int, str]) -> DraftRow:
    hash, example, checked, since, question = row
    # A correction counts from its cycle on; what was trained on before stays trained on.
    out = group.outcome == "struck" and since <= group.cycle
    into = checked == "sample" or (group.outcome == "edited" and since <= group.cycle)
    return DraftRow(
        draft=hash,
        task=group.task,
        question=question[:EXCERPT],
        outcome=group.outcome,
        reason=group.reason,
        kind=group.kind,
        cycle=group.cycle,
        example=example,
        trained=group.cycle in known.trained and into and not out,
    )


def _counts(tally: Counter[str], order: Sequence[str] | None) -> tuple[Count, ...]:
    """In the given order, or the most frequent first; what has no name is left out."""
    ranked = sorted(tally, key=lambda value: (-tally[value], value)) if order is None else order
    return tuple(Count(value, tally[value]) for value in ranked if value and tally[value])


def _text(value: str) -> str:
    """What SQLite can be asked: half a character pair, which a link may hold, is not text."""
    return value.encode("utf-8", "replace").decode("utf-8")
