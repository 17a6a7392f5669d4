"""Brings a catalogue up to its ledger, a portion at a time; another process may do the next one.

Each portion is one transaction that also says how far it got. There are three kinds, in this order: new responses of
kept checkpoints, one by one; the questions of a *place* (task and split) from its first, if a checkpoint came into the
chain whose answers were passed over; and the other records in the order in which they were appended.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec

from errorbook.ledger import changes, keys
from errorbook.ledger.changes import BareResponse, NewRecord
from errorbook.ledger.counts import name_strategy
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints, read_config
from errorbook.records import Correction, Diagnosis, Draft, Example, Rejection, Split, Verdict
from errorbook.web.catalogue import writing
from errorbook.web.catalogue.schema import clear, make_tables, read_state, write_state
from errorbook.web.catalogue.writing import LETTERS, ItemRow, Question

PORTION = 1000
"""Rows of one transaction: tens of milliseconds of work."""
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
_KINDS = ("Diagnosis", "Draft", "Sample", "Rejection", "Correction", "Training")


class FillingPlan(NamedTuple):
    """What a ledger's kept checkpoints answered: the number of each evaluation by place and position in the chain."""

    chain: tuple[str, ...]
    starts: tuple[int, ...]
    places: dict[int, tuple[str, Split]]
    evaluations: dict[tuple[int, int], int]
    by_hash: dict[str, tuple[int, int]]
    questions: dict[int, int]


def plan_filling(ledger: Ledger) -> FillingPlan:
    """Read it. A place's number follows the order of the tasks in the run file; `starts` has a position per cycle.

    Raises:
        LedgerError: The ledger holds no run yet, or one of another version of Errorbook.
    """
    tasks = [task.name for task in read_config(ledger).tasks]
    points = Checkpoints(ledger)
    position = {checkpoint: number for number, checkpoint in enumerate(points.chain)}
    cycles = range(1, len(points.decisions) + 2) if points.chain else ()
    plan = FillingPlan(points.chain, tuple(position[points.starting(cycle)] for cycle in cycles), {}, {}, {}, {})
    for seq, evaluation in changes.evaluations(ledger):
        if evaluation.checkpoint in position and evaluation.task in tasks:
            place = tasks.index(evaluation.task) * len(SPLITS) + SPLITS.index(evaluation.split)
            where = (place, position[evaluation.checkpoint])
            plan.places[place] = (evaluation.task, evaluation.split)
            plan.evaluations[where] = seq
            plan.by_hash[evaluation.hash] = where
            plan.questions[place] = max(evaluation.n, plan.questions.get(place, 0))
    return plan


class Filling:
    """Fills one catalogue from one ledger, both open."""

    def __init__(self, ledger: Ledger, sql: sqlite3.Connection) -> None:
        self._ledger, self._sql = ledger, sql
        self._plan = plan_filling(ledger)
        self._heads = changes.heads(ledger)

    def fits(self) -> bool:
        """Whether what is in the catalogue was read from this ledger, and only has to be added to."""
        state = read_state(self._sql)
        known = self._sql.execute("SELECT place, position, seq FROM evaluations").fetchall()
        return (
            self._heads.response >= state.responses
            and (not state.first or state.first == changes.record_hash(self._ledger, 1))
            and (not state.last or state.last == changes.record_hash(self._ledger, state.records))
            and state.chain == ",".join(self._plan.chain)[: len(state.chain)]
            and all(self._plan.evaluations.get((place, position)) == seq for place, position, seq in known)
        )

    def begin(self) -> None:
        """Note what is to be done."""
        sql, plan = self._sql, self._plan
        if not read_state(sql).first:
            write_state(sql, first=changes.record_hash(self._ledger, 1), responses=self._heads.response)
        write_state(sql, chain=",".join(plan.chain), heads=self._heads.record)
        for place, (task, split) in plan.places.items():
            sql.execute("INSERT OR IGNORE INTO places (place, task, split) VALUES (?, ?, ?)", (place, task, split))
            sql.execute("UPDATE places SET n = ? WHERE place = ?", (plan.questions[place], place))
        starts = [(cycle, position) for cycle, position in enumerate(plan.starts, 1)]
        sql.executemany(
            "INSERT INTO cycles (cycle, position) VALUES (?, ?)"
            " ON CONFLICT (cycle) DO UPDATE SET position = excluded.position",
            starts,
        )
        known = {(row[0], row[1]) for row in sql.execute("SELECT place, position FROM evaluations")}
        for (place, position), seq in plan.evaluations.items():
            if (place, position) not in known:
                self._new_evaluation(place, position, seq)

    def go_on(self) -> None:
        """Do the next portion, if there is one."""
        if self._answers() or self._places() or self._records():
            write_state(self._sql, version=read_state(self._sql).version + 1)

    def _new_evaluation(self, place: int, position: int, seq: int) -> None:
        self._sql.execute("INSERT INTO evaluations VALUES (?, ?, ?)", (place, position, seq))
        if changes.has_answers(self._ledger, seq, read_state(self._sql).responses):  # they were passed over
            self._sql.execute("UPDATE places SET upto = '', done = 0 WHERE place = ?", (place,))

    # new responses ----------------------------------------------------------------------------------------------

    def _answers(self) -> bool:
        new = changes.answers_after(self._ledger, read_state(self._sql).responses, PORTION)
        waiting = dict(self._sql.execute("SELECT place, upto FROM places WHERE upto IS NOT NULL").fetchall())
        for answer in new:
            where = self._plan.by_hash.get(answer.evaluation)
            if where is None or answer.example > waiting.get(where[0], answer.example):
                continue  # of no kept checkpoint, or of a question that is still to be read
            found = changes.answer_to(self._ledger, self._plan.evaluations[where], answer.example)
            if found is not None:
                self._answered(where, found)
        if new:
            write_state(self._sql, responses=new[-1].seq)
        return bool(new)

    def _answered(self, where: tuple[int, int], answer: BareResponse) -> None:
        place, position = where
        item = writing.find_item(self._sql, place, answer.example)
        if item is None:
            self._write(place, answer.example, [(position, answer)])
            return
        path = item.path.ljust(position, "-")
        newest = position >= len(path) - 1
        path = path[:position] + LETTERS[answer.verdict] + path[position + 1 :]
        self._set_path(item, path, answer.seq if newest else item.answer)

    def _write(self, place: int, example: str, answers: list[tuple[int, BareResponse]]) -> None:
        """One question with all its answers, in the order of the chain."""
        letters: dict[int, Verdict] = {position: answer.verdict for position, answer in answers}
        path = "".join(LETTERS[letters[n]] if n in letters else "-" for n in range(answers[-1][0] + 1))
        newest = answers[-1][1].seq
        item = writing.find_item(self._sql, place, example)
        if item is not None:
            self._set_path(item, path, newest)
        else:
            answer = newest, changes.read_text(self._ledger, newest)
            writing.add_item(self._sql, place, example, self._question(place, example), path, answer)

    def _set_path(self, item: ItemRow, path: str, answer: int) -> None:
        if writing.set_path(self._sql, item, path, answer):
            writing.set_answer_text(self._sql, item.id, changes.read_text(self._ledger, answer))

    def _question(self, place: int, example: str) -> Question:
        task, split = self._plan.places[place]
        recorded = self._ledger.find(Example, keys.example(task, split, example))
        return Question(recorded.question, recorded.skill) if recorded else Question("", "")

    # whole places -----------------------------------------------------------------------------------------------

    def _places(self) -> bool:
        row = self._sql.execute("SELECT place, upto FROM places WHERE upto IS NOT NULL ORDER BY place").fetchone()
        if row is None:
            return False
        place, upto = row
        found: dict[str, list[tuple[int, BareResponse]]] = {}
        ends = []
        for (where, position), seq in sorted(self._plan.evaluations.items()):
            if where == place:
                answers = changes.answers_of(self._ledger, seq, upto, PORTION)
                if len(answers) == PORTION:
                    ends.append(answers[-1].example)
                for answer in answers:
                    found.setdefault(answer.example, []).append((position, answer))
        end = min(ends, default=None)  # beyond it, an evaluation may have answers that were not read
        written = sorted(example for example in found if end is None or example <= end)
        for example in written:
            self._write(place, example, found[example])
        self._sql.execute("UPDATE places SET upto = ?, done = done + ? WHERE place = ?", (end, len(written), place))
        return True

    # other records ----------------------------------------------------------------------------------------------

    def _records(self) -> bool:
        before = read_state(self._sql).records
        new = changes.records_after(self._ledger, before, _KINDS, PORTION)
        for record in new:
            _READERS[record.kind](self, record)
        upto = new[-1].seq if len(new) == PORTION else self._heads.record
        if upto == before:
            return False
        write_state(self._sql, records=upto, last=changes.record_hash(self._ledger, upto))
        return True

    def _diagnosis(self, record: NewRecord) -> None:
        diagnosis = msgspec.json.decode(record.body, type=Diagnosis)
        place = next((n for n, named in self._plan.places.items() if named == (diagnosis.task, "train")), None)
        if place is None:
            return
        item = writing.find_item(self._sql, place, diagnosis.example)
        if item is None:
            about = self._question(place, diagnosis.example)
            writing.add_item(self._sql, place, diagnosis.example, about, "", (0, ""))
            item = writing.find_item(self._sql, place, diagnosis.example)
        if item is not None:
            kind = diagnosis.error_kind or "unnamed"
            writing.set_diagnosis(self._sql, item, record.seq, kind, diagnosis.misconception)
            self._sql.execute("INSERT OR IGNORE INTO diagnosed VALUES (?, ?, ?)", (record.hash, item.id, kind))

    def _draft(self, record: NewRecord) -> None:
        draft = msgspec.json.decode(record.body, type=Draft)
        if not draft.strategy:
            diagnosis = self._ledger.get(Diagnosis, draft.diagnosis) if draft.diagnosis else None
            draft = msgspec.structs.replace(draft, strategy=name_strategy(draft, diagnosis))
        writing.add_draft(self._sql, record.seq, record.hash, draft, record.cycle)

    def _sample(self, record: NewRecord) -> None:
        writing.set_check(self._sql, record.key, None)

    def _rejection(self, record: NewRecord) -> None:
        writing.set_check(self._sql, record.key, msgspec.json.decode(record.body, type=Rejection))

    def _training(self, record: NewRecord) -> None:
        self._sql.execute(
            "INSERT INTO cycles (cycle, trained) VALUES (?, 1) ON CONFLICT (cycle) DO UPDATE SET trained = 1",
            (record.cycle,),
        )

    def _correction(self, record: NewRecord) -> None:
        correction = msgspec.json.decode(record.body, type=Correction)
        if correction.kind == "score":
            item = self._corrected_answer(correction.subject)
        else:
            draft = self._ledger.get(Draft, correction.subject)
            item = writing.correct_draft(self._sql, correction, record.cycle, draft) if draft else None
        self._sql.execute("UPDATE items SET corrected = 1 WHERE id = ?", (item,))

    def _corrected_answer(self, response: str) -> int | None:
        answered = changes.find_answer(self._ledger, response)
        where = {seq: where for where, seq in self._plan.evaluations.items()}
        if answered is None or answered[0] not in where:
            return None
        item = writing.find_item(self._sql, where[answered[0]][0], answered[1])
        return item.id if item else None


_READERS = {
    "Diagnosis": Filling._diagnosis,
    "Draft": Filling._draft,
    "Sample": Filling._sample,
    "Rejection": Filling._rejection,
    "Training": Filling._training,
    "Correction": Filling._correction,
}


def fill(ledger: Ledger, sql: sqlite3.Connection, full_text: bool) -> bool:
    """Do one portion in an open transaction; return whether everything in the ledger is in the catalogue then.

    A catalogue of another ledger is emptied first. Nothing is kept between two portions, so that several processes may
    fill one catalogue in turn; the ledger must have been opened after the transaction, so that it is never older than
    what is in the catalogue.

    Raises:
        LedgerError: The ledger holds no run yet, or one of another version of Errorbook.
    """
    if not _is_done(sql, ledger):
        filling = Filling(ledger, sql)
        if not filling.fits():
            clear(sql)
            make_tables(sql, full_text)
            filling = Filling(ledger, sql)
        filling.begin()
        filling.go_on()
    return _is_done(sql, ledger)


def _is_done(sql: sqlite3.Connection, ledger: Ledger) -> bool:
    state = read_state(sql)
    return (
        (state.records, state.responses) == changes.heads(ledger)
        and state.last == changes.record_hash(ledger, state.records)
        and sql.execute("SELECT 1 FROM places WHERE upto IS NOT NULL").fetchone() is None
    )


def progress(sql: sqlite3.Connection) -> tuple[int, int]:
    """How much of the ledger is in the catalogue, in questions and records."""
    row = sql.execute(
        "SELECT coalesce(sum(n), 0), coalesce(sum(CASE WHEN upto IS NULL THEN n ELSE min(done, n) END), 0) FROM places"
    ).fetchone()
    state = read_state(sql)
    return int(row[1]) + state.records, int(row[0]) + max(state.heads, state.records)
