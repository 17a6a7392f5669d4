"""The catalogue's rows, written one by one: items and drafts, each with the group that counts it and its searched text.

It holds what one transaction needs, no more. Where the values come from is the business of `filling`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import NamedTuple

from errorbook.records import Correction, Draft, Rejection, Verdict
from errorbook.web.catalogue.schema import LONGEST, NEWEST

LETTERS: dict[Verdict, str] = {"right": "r", "wrong": "w", "unscorable": "u"}
"""A path is kept as one letter a checkpoint of the chain, "-" where it did not answer; none at the end."""


class ItemRow(NamedTuple):
    """One item as it is kept."""

    id: int
    example: str
    group: int
    answer: int
    by_newest: int


class Question(NamedTuple):
    """What an item is about."""

    question: str
    skill: str


class Groups:
    """The groups of one table: found or made by their values, and counted when all is written."""

    def __init__(self, sql: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> None:
        self._sql, self._table, self._columns = sql, table, columns
        self._known: dict[tuple[str | int, ...], int] = {}
        self._moved: Counter[int] = Counter()

    def of(self, *values: str | int) -> int:
        """The group with these values."""
        if values not in self._known:
            where = " AND ".join(f"{name} = ?" for name in self._columns)
            row = self._sql.execute(f"SELECT grp FROM {self._table} WHERE {where}", values).fetchone()  # noqa: S608
            self._known[values] = int(row[0]) if row else self._new(values)
        return self._known[values]

    def values(self, group: int) -> tuple[str | int, ...]:
        """What the rows of a group have in common."""
        names = ", ".join(self._columns)
        row = self._sql.execute(f"SELECT {names} FROM {self._table} WHERE grp = ?", (group,)).fetchone()  # noqa: S608
        return tuple(row)

    def move(self, old: int | None, new: int) -> None:
        """A row leaves one group for another."""
        if old is not None:
            self._moved[old] -= 1
        self._moved[new] += 1

    def count(self) -> None:
        """Write what has moved."""
        rows = [(n, group) for group, n in self._moved.items() if n]
        self._sql.executemany(f"UPDATE {self._table} SET n = n + ? WHERE grp = ?", rows)  # noqa: S608
        self._moved.clear()

    def _new(self, values: tuple[str | int, ...]) -> int:
        names, marks = ", ".join(self._columns), ", ".join("?" * len(values))
        made = self._sql.execute(f"INSERT INTO {self._table} ({names}) VALUES ({marks})", values)  # noqa: S608
        return int(made.lastrowid or 0)


class Items:
    """Writes items. `close` must be called before the transaction ends."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql
        self._groups = Groups(sql, "item_groups", ("place", "skill", "kind", "path"))

    def close(self) -> None:
        """Count what was written."""
        self._groups.count()

    def find(self, place: int, example: str) -> ItemRow | None:
        """The item as it is kept, or None."""
        row = self._sql.execute(
            "SELECT id, example, grp, answer, by_newest FROM items WHERE place = ? AND example = ?", (place, example)
        ).fetchone()
        return None if row is None else ItemRow(*row)

    def path(self, item: ItemRow) -> str:
        """Its verdicts, as letters."""
        return str(self._groups.values(item.group)[3])

    def add(self, place: int, example: str, about: Question, path: str = "", answer: tuple[int, str] = (0, "")) -> int:
        """A new item, and its id; `answer` is the number and the text of its newest response."""
        group = self._groups.of(place, about.skill, "", path)
        made = self._sql.execute(
            "INSERT INTO items (place, example, grp, answer) VALUES (?, ?, ?, ?)", (place, example, group, answer[0])
        )
        self._groups.move(None, group)
        self._sql.execute(
            "INSERT INTO item_search (rowid, question, answer, misconception, names) VALUES (?, ?, ?, '', ?)",
            (made.lastrowid, about.question[:LONGEST], answer[1][:LONGEST], f"{example} {about.skill}"),
        )
        return int(made.lastrowid or 0)

    def answered(self, item: ItemRow, path: str, answer: int) -> bool:
        """Give an item another path; True where its newest response is another one, so that its text is needed."""
        place, skill, kind, known = self._groups.values(item.group)
        if path != known or answer != item.answer:
            group = self._groups.of(place, skill, kind, path)
            self._groups.move(item.group, group)
            self._sql.execute("UPDATE items SET grp = ?, answer = ? WHERE id = ?", (group, answer, item.id))
        return answer != item.answer

    def say(self, item: int, text: str) -> None:
        """The text of an item's newest response."""
        self._sql.execute("UPDATE item_search SET answer = ? WHERE rowid = ?", (text[:LONGEST], item))

    def diagnosed(self, item: ItemRow, seq: int, kind: str, misconception: str) -> None:
        """An item's newest diagnosis."""
        if -seq >= item.by_newest:
            return
        place, skill, _, path = self._groups.values(item.group)
        group = self._groups.of(place, skill, kind, path)
        self._groups.move(item.group, group)
        self._sql.execute("UPDATE items SET grp = ?, by_newest = ? WHERE id = ?", (group, -seq, item.id))
        self._sql.execute(
            "UPDATE item_search SET misconception = ?, names = ? WHERE rowid = ?",
            (misconception[:LONGEST], f"{item.example} {skill} {kind}", item.id),
        )

    def counted(self, item: int, *, drafts: int = 0, samples: int = 0) -> None:
        """So many more drafts and samples were written for an item."""
        self._sql.execute(
            "UPDATE items SET by_drafts = by_drafts - ?, samples = samples + ? WHERE id = ?", (drafts, samples, item)
        )

    def corrected(self, item: int) -> None:
        """A person changed something about an item."""
        self._sql.execute("UPDATE items SET corrected = 1 WHERE id = ?", (item,))


class Drafts:
    """Writes drafts. `close` must be called before the transaction ends."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql
        self._groups = Groups(sql, "draft_groups", ("task", "outcome", "reason", "kind", "cycle"))

    def close(self) -> None:
        """Count what was written."""
        self._groups.count()

    def add(self, seq: int, hash: str, draft: Draft, cycle: int) -> int | None:
        """A new draft; returns the item that it was written for, if any."""
        row = self._sql.execute("SELECT item, kind FROM diagnosed WHERE hash = ?", (draft.diagnosis,)).fetchone()
        item, kind = row or (None, "")
        group, id = self._groups.of(draft.task, "waiting", "", kind, cycle), NEWEST - seq
        made = self._sql.execute(
            "INSERT OR IGNORE INTO drafts (id, hash, item, grp) VALUES (?, ?, ?, ?)", (id, hash, item, group)
        )
        if not made.rowcount:  # the same draft a second time, under another key
            return None
        self._groups.move(None, group)
        self._sql.execute(
            "INSERT INTO draft_search (rowid, question, answer, solution, names) VALUES (?, ?, ?, ?, ?)",
            (id, draft.question[:LONGEST], draft.answer[:LONGEST], draft.solution[:LONGEST], kind),
        )
        return item

    def checked(self, hash: str, rejection: Rejection | None) -> int | None:
        """What verification said of a draft; returns the item of a draft that became a sample."""
        row = self._row(hash)
        if row is None:
            return None
        id, group, item, _, change = row
        checked, reason = ("sample", "") if rejection is None else ("rejected", rejection.reason)
        self._sql.execute("UPDATE drafts SET checked = ? WHERE id = ?", (checked, id))
        self._regroup(id, group, change or checked, reason)
        return item if rejection is None else None

    def changed(self, correction: Correction, cycle: int, draft: Draft) -> int | None:
        """A person's word on a draft; returns its item. `draft` is the original."""
        row = self._row(correction.subject)
        if row is None:
            return None
        id, group, item, checked, _ = row
        change = {"strike": "struck", "edit": "edited"}.get(correction.kind, "")
        self._sql.execute("UPDATE drafts SET change = ?, since = ? WHERE id = ?", (change, cycle, id))
        self._regroup(id, group, change or checked, str(self._groups.values(group)[2]))
        said = [getattr(correction, name) or getattr(draft, name) for name in ("question", "answer", "solution")]
        self._sql.execute(
            "UPDATE draft_search SET question = ?, answer = ?, solution = ? WHERE rowid = ?",
            (*(text[:LONGEST] for text in said), id),
        )
        return item

    def _row(self, hash: str) -> tuple[int, int, int | None, str, str] | None:
        row = self._sql.execute("SELECT id, grp, item, checked, change FROM drafts WHERE hash = ?", (hash,)).fetchone()
        return None if row is None else (row[0], row[1], row[2], row[3], row[4])

    def _regroup(self, id: int, old: int, outcome: str, reason: str) -> None:
        task, _, _, kind, cycle = self._groups.values(old)
        group = self._groups.of(task, outcome, reason, kind, cycle)
        self._groups.move(old, group)
        self._sql.execute("UPDATE drafts SET grp = ? WHERE id = ?", (group, id))
