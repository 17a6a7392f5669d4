"""The catalogue's rows, written one by one: items and drafts, each with its group and its searched text.

Every function takes the open transaction and keeps nothing. Where the values come from is the business of `filling`.

Writes that fire a trigger are OR FAIL: SQLite keeps a journal for a statement that may have to be undone by itself,
which takes several times as long as the write. A failure undoes the whole transaction anyway.
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
_FIND_GROUP = {
    "item": "SELECT grp FROM item_groups WHERE place = ? AND skill = ? AND kind = ? AND path = ? AND fate = ?",
    "draft": "SELECT grp FROM draft_groups"
    " WHERE task = ? AND outcome = ? AND reason = ? AND kind = ? AND strategy = ? AND cycle = ?",
}
_ADD_GROUP = {
    "item": "INSERT INTO item_groups (place, skill, kind, path, fate) VALUES (?, ?, ?, ?, ?)",
    "draft": "INSERT INTO draft_groups (task, outcome, reason, kind, strategy, cycle) VALUES (?, ?, ?, ?, ?, ?)",
}


class ItemRow(NamedTuple):
    """One item as it is kept."""

    id: int
    place: int
    example: str
    skill: str
    kind: str
    path: str
    fate: str
    answer: int
    by_newest: int


class StoredDraft(NamedTuple):
    """One draft as it is kept."""

    id: int
    item: int | None
    checked: str
    change: str
    task: str
    reason: str
    kind: str
    strategy: str
    cycle: int


class Question(NamedTuple):
    """What an item is about."""

    question: str
    skill: str


def path_of(letters: str) -> tuple[Verdict, ...]:
    """The verdicts of the checkpoints that answered."""
    return tuple(VERDICTS[letter] for letter in letters if letter != "-")


def _group(sql: sqlite3.Connection, what: str, values: tuple[str | int, ...]) -> int:
    """The number of the group with these values, which is made if there is none."""
    row = sql.execute(_FIND_GROUP[what], values).fetchone()
    return int(row[0]) if row else int(sql.execute(_ADD_GROUP[what], values).lastrowid or 0)


# items ----------------------------------------------------------------------------------------------------------


def find_item(sql: sqlite3.Connection, place: int, example: str) -> ItemRow | None:
    """The item as it is kept, or None."""
    row = sql.execute(
        "SELECT id, i.place, example, skill, kind, path, fate, answer, by_newest"
        " FROM items AS i JOIN item_groups USING (grp)"
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
        "INSERT OR FAIL INTO items (place, example, grp, answer) VALUES (?, ?, ?, ?)",
        (place, example, group, answer[0]),
    )
    sql.execute(
        "INSERT INTO item_search (rowid, question, answer, misconception, names) VALUES (?, ?, ?, '', ?)",
        (made.lastrowid, about.question[:LONGEST], answer[1][:LONGEST], f"{example} {about.skill}"),
    )


def set_path(sql: sqlite3.Connection, item: ItemRow, path: str, answer: int) -> bool:
    """Give an item another path; True if its newest response is another one, so that its text is needed."""
    if path != item.path:
        group = _group(sql, "item", (item.place, item.skill, item.kind, path, _fate(path)))
        sql.execute("UPDATE OR FAIL items SET grp = ? WHERE id = ?", (group, item.id))
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
    group = _group(sql, "item", (item.place, item.skill, kind, item.path, item.fate))
    sql.execute("UPDATE OR FAIL items SET grp = ?, by_newest = ? WHERE id = ?", (group, -seq, item.id))
    sql.execute(
        "UPDATE item_search SET misconception = ?, names = ? WHERE rowid = ?",
        (misconception[:LONGEST], f"{item.example} {item.skill} {kind}", item.id),
    )


def _fate(path: str) -> str:
    return fate_of(path_of(path)) if path else ""


# drafts ---------------------------------------------------------------------------------------------------------


def add_draft(sql: sqlite3.Connection, seq: int, hash: str, draft: Draft, cycle: int) -> None:
    """A new draft that says its strategy; it counts for the item that it was written for, or that it goes by."""
    row = sql.execute("SELECT item, kind FROM diagnosed WHERE hash = ?", (draft.diagnosis,)).fetchone()
    item, kind = row or (_find_source(sql, draft), "")
    id, group = NEWEST - seq, _group(sql, "draft", (draft.task, "waiting", "", kind, draft.strategy, cycle))
    row = (id, hash, item, group)
    made = sql.execute("INSERT OR IGNORE INTO drafts (id, hash, item, grp) VALUES (?, ?, ?, ?)", row)
    if not made.rowcount:  # the same draft a second time, under another key
        return
    sql.execute(
        "INSERT INTO draft_search (rowid, question, answer, solution, names) VALUES (?, ?, ?, ?, ?)",
        (id, draft.question[:LONGEST], draft.answer[:LONGEST], draft.solution[:LONGEST], kind),
    )
    sql.execute("UPDATE items SET by_drafts = by_drafts - 1 WHERE id = ?", (item,))


def _find_source(sql: sqlite3.Connection, draft: Draft) -> int | None:
    """The train question that a draft varies or keeps the wording of."""
    row = sql.execute(
        "SELECT id FROM items JOIN places USING (place) WHERE task = ? AND split = 'train' AND example = ?",
        (draft.task, draft.example),
    ).fetchone()
    return row[0] if row else None


def set_check(sql: sqlite3.Connection, hash: str, rejection: Rejection | None) -> None:
    """What verification said of a draft; one that became a sample counts for its item."""
    row = _find_draft(sql, hash)
    if row is None:
        return
    checked, reason = ("sample", "") if rejection is None else ("rejected", rejection.reason)
    group = _group(sql, "draft", (row.task, row.change or checked, reason, row.kind, row.strategy, row.cycle))
    sql.execute("UPDATE OR FAIL drafts SET grp = ?, checked = ? WHERE id = ?", (group, checked, row.id))
    if rejection is None:
        sql.execute("UPDATE items SET samples = samples + 1 WHERE id = ?", (row.item,))


def correct_draft(sql: sqlite3.Connection, correction: Correction, cycle: int, draft: Draft) -> int | None:
    """A person's word on a draft; returns its item. `draft` is the original."""
    row = _find_draft(sql, correction.subject)
    if row is None:
        return None
    change = {"strike": "struck", "edit": "edited"}.get(correction.kind, "")
    group = _group(sql, "draft", (row.task, change or row.checked, row.reason, row.kind, row.strategy, row.cycle))
    sql.execute("UPDATE OR FAIL drafts SET grp = ?, change = ?, since = ? WHERE id = ?", (group, change, cycle, row.id))
    said = [getattr(correction, name) or getattr(draft, name) for name in ("question", "answer", "solution")]
    sql.execute(
        "UPDATE draft_search SET question = ?, answer = ?, solution = ? WHERE rowid = ?",
        (*(text[:LONGEST] for text in said), row.id),
    )
    return row.item


def _find_draft(sql: sqlite3.Connection, hash: str) -> StoredDraft | None:
    row = sql.execute(
        "SELECT id, item, checked, change, task, reason, kind, strategy, cycle"
        " FROM drafts JOIN draft_groups USING (grp) WHERE hash = ?",
        (hash,),
    ).fetchone()
    return None if row is None else StoredDraft(*row)
