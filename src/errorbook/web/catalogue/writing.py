"""The catalogue's rows, written one by one: items and drafts, each with its group and its searched text.

Every function takes the open transaction and keeps nothing. Where the values come from is the business of `filling`.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from errorbook.records import Correction, Draft, Rejection, Verdict
from errorbook.report.fates import fate_of
from errorbook.web.catalogue.schema import LONGEST, NEWEST

LETTERS: dict[Verdict, str] = {"right": "r", "wrong": "w", "unscorable": "u"}
"""A path is kept as one letter a checkpoint of the chain, "-" where it did not answer; none at the end."""
VERDICTS: dict[str, Verdict] = {letter: verdict for verdict, letter in LETTERS.items()}
_GROUPED = {
    "item": ("place", "skill", "kind", "path", "fate"),
    "draft": ("task", "outcome", "reason", "kind", "cycle"),
}


class ItemRow(NamedTuple):
    """One item as it is kept."""

    id: int
    example: str
    path: str
    skill: str
    answer: int
    by_newest: int


class Question(NamedTuple):
    """What an item is about."""

    question: str
    skill: str


def path_of(letters: str) -> tuple[Verdict, ...]:
    """The verdicts of the checkpoints that answered."""
    return tuple(VERDICTS[letter] for letter in letters if letter != "-")


def _group(sql: sqlite3.Connection, what: str, values: tuple[str | int, ...]) -> int:
    """The number of the group with these values, which is made if there is none."""
    names = _GROUPED[what]
    marks, same = ", ".join("?" * len(names)), " AND ".join(f"{name} = ?" for name in names)
    sql.execute(f"INSERT OR IGNORE INTO {what}_groups ({', '.join(names)}) VALUES ({marks})", values)  # noqa: S608
    return int(sql.execute(f"SELECT grp FROM {what}_groups WHERE {same}", values).fetchone()[0])  # noqa: S608


def _regroup(sql: sqlite3.Connection, what: str, id: int, **changes: str) -> None:
    """Give a row another group, which differs from its own in these values."""
    names = _GROUPED[what]
    query = f"SELECT g.{', g.'.join(names)} FROM {what}s JOIN {what}_groups AS g USING (grp) WHERE id = ?"  # noqa: S608
    values = dict(zip(names, sql.execute(query, (id,)).fetchone(), strict=True)) | changes
    group = _group(sql, what, tuple(values.values()))
    sql.execute(f"UPDATE {what}s SET grp = ? WHERE id = ?", (group, id))  # noqa: S608


# items ----------------------------------------------------------------------------------------------------------


def find_item(sql: sqlite3.Connection, place: int, example: str) -> ItemRow | None:
    """The item as it is kept, or None."""
    row = sql.execute(
        "SELECT id, example, path, skill, answer, by_newest FROM items AS i JOIN item_groups USING (grp)"
        " WHERE i.place = ? AND example = ?",
        (place, example),
    ).fetchone()
    return None if row is None else ItemRow(*row)


def add_item(
    sql: sqlite3.Connection, place: int, example: str, about: Question, path: str, answer: tuple[int, str]
) -> None:
    """A new item; `answer` is the number and the text of its newest response."""
    group = _group(sql, "item", (place, about.skill, "", path, _fate(path)))
    made = sql.execute(
        "INSERT INTO items (place, example, grp, answer) VALUES (?, ?, ?, ?)", (place, example, group, answer[0])
    )
    sql.execute(
        "INSERT INTO item_search (rowid, question, answer, misconception, names) VALUES (?, ?, ?, '', ?)",
        (made.lastrowid, about.question[:LONGEST], answer[1][:LONGEST], f"{example} {about.skill}"),
    )


def set_path(sql: sqlite3.Connection, item: ItemRow, path: str, answer: int) -> bool:
    """Give an item another path; True if its newest response is another one, so that its text is needed."""
    if path != item.path:
        _regroup(sql, "item", item.id, path=path, fate=_fate(path))
    if answer == item.answer:
        return False
    sql.execute("UPDATE items SET answer = ? WHERE id = ?", (answer, item.id))
    return True


def set_answer_text(sql: sqlite3.Connection, item: int, text: str) -> None:
    """The text of an item's newest response."""
    sql.execute("UPDATE item_search SET answer = ? WHERE rowid = ?", (text[:LONGEST], item))


def set_diagnosis(sql: sqlite3.Connection, item: ItemRow, seq: int, kind: str, misconception: str) -> None:
    """An item's newest diagnosis."""
    if -seq >= item.by_newest:
        return
    _regroup(sql, "item", item.id, kind=kind)
    sql.execute("UPDATE items SET by_newest = ? WHERE id = ?", (-seq, item.id))
    sql.execute(
        "UPDATE item_search SET misconception = ?, names = ? WHERE rowid = ?",
        (misconception[:LONGEST], f"{item.example} {item.skill} {kind}", item.id),
    )


def _fate(path: str) -> str:
    return fate_of(path_of(path)) if path else ""


# drafts ---------------------------------------------------------------------------------------------------------


def add_draft(sql: sqlite3.Connection, seq: int, hash: str, draft: Draft, cycle: int) -> None:
    """A new draft, which counts for the item that it was written for."""
    row = sql.execute("SELECT item, kind FROM diagnosed WHERE hash = ?", (draft.diagnosis,)).fetchone()
    item, kind = row or (None, "")
    id, group = NEWEST - seq, _group(sql, "draft", (draft.task, "waiting", "", kind, cycle))
    row = (id, hash, item, group)
    made = sql.execute("INSERT OR IGNORE INTO drafts (id, hash, item, grp) VALUES (?, ?, ?, ?)", row)
    if not made.rowcount:  # the same draft a second time, under another key
        return
    sql.execute(
        "INSERT INTO draft_search (rowid, question, answer, solution, names) VALUES (?, ?, ?, ?, ?)",
        (id, draft.question[:LONGEST], draft.answer[:LONGEST], draft.solution[:LONGEST], kind),
    )
    sql.execute("UPDATE items SET by_drafts = by_drafts - 1 WHERE id = ?", (item,))


def set_check(sql: sqlite3.Connection, hash: str, rejection: Rejection | None) -> None:
    """What verification said of a draft; one that became a sample counts for its item."""
    row = sql.execute("SELECT id, item, change FROM drafts WHERE hash = ?", (hash,)).fetchone()
    if row is None:
        return
    id, item, change = row
    checked, reason = ("sample", "") if rejection is None else ("rejected", rejection.reason)
    sql.execute("UPDATE drafts SET checked = ? WHERE id = ?", (checked, id))
    _regroup(sql, "draft", id, outcome=change or checked, reason=reason)
    if rejection is None:
        sql.execute("UPDATE items SET samples = samples + 1 WHERE id = ?", (item,))


def correct_draft(sql: sqlite3.Connection, correction: Correction, cycle: int, draft: Draft) -> int | None:
    """A person's word on a draft; returns its item. `draft` is the original."""
    row = sql.execute("SELECT id, item, checked FROM drafts WHERE hash = ?", (correction.subject,)).fetchone()
    if row is None:
        return None
    id, item, checked = row
    change = {"strike": "struck", "edit": "edited"}.get(correction.kind, "")
    sql.execute("UPDATE drafts SET change = ?, since = ? WHERE id = ?", (change, cycle, id))
    _regroup(sql, "draft", id, outcome=change or checked)
    said = [getattr(correction, name) or getattr(draft, name) for name in ("question", "answer", "solution")]
    sql.execute(
        "UPDATE draft_search SET question = ?, answer = ?, solution = ? WHERE rowid = ?",
        (*(text[:LONGEST] for text in said), id),
    )
    return None if item is None else int(item)
