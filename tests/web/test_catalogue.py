"""The catalogue says what the ledger says: every list, count and order is recomputed here from the plain records."""

from __future__ import annotations

import base64
import os
import re
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import asdict, replace
from server_kit import wait_for
from synthetic_run import CONFIG, KINDS, REASONS, SKILLS, SPLITS, Scribe, write_exam, write_run

from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import (
    Correction,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Rejection,
    Response,
    Sample,
    Training,
    Verdict,
)
from errorbook.report.build import build
from errorbook.report.fates import FATES, fate_of
from errorbook.report.records import DraftOutcome
from errorbook.web.catalogue import filling as catalogue_filling
from errorbook.web.catalogue import lists as catalogue_lists
from errorbook.web.catalogue.index import Catalogue
from errorbook.web.catalogue.lists import DRAFT_SORTS, ITEM_SORTS
from errorbook.web.catalogue.records import DraftFilter, DraftRow, ItemFilter, ItemId, QuestionRow
from errorbook.web.catalogue.store import FORGOTTEN, forget
from errorbook.web.shelf import Shelf

VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "unscorable")
TASKS = tuple(task.name for task in CONFIG.tasks)


class Plain:
    """Everything that a catalogue should say about one ledger, read record by record without any index."""

    def __init__(self, ledger: Ledger) -> None:
        points = Checkpoints(ledger)
        self.starts = {
            cycle: points.chain.index(points.starting(cycle)) for cycle in range(1, len(points.decisions) + 2)
        }
        self.answers: dict[ItemId, dict[int, Response]] = {}
        for evaluation in ledger.all(Evaluation):
            if evaluation.checkpoint in points.chain:
                for response in ledger.responses(evaluation):
                    id = ItemId(response.task, response.split, response.example)
                    self.answers.setdefault(id, {})[points.chain.index(evaluation.checkpoint)] = response
        self.examples = {ItemId(one.task, one.split, one.id): one for one in ledger.all(Example)}
        self.diagnoses: dict[ItemId, list[Diagnosis]] = {}
        self.order: dict[ItemId, int] = {}
        named: dict[str, Diagnosis] = {}
        for number, (hash, diagnosis) in enumerate(ledger.by_hash(Diagnosis)):
            id = ItemId(diagnosis.task, "train", diagnosis.example)
            self.diagnoses.setdefault(id, []).append(diagnosis)
            self.order[id] = number
            named[hash] = diagnosis
        samples = {sample.draft for sample in ledger.all(Sample)}
        rejections = {rejection.draft: rejection for rejection in ledger.all(Rejection)}
        trained = [cycle for cycle in (1, 2) if ledger.find(Training, keys.training(cycle))]
        self.drafts: list[DraftRow] = []
        for cycle in (1, 2):
            for draft in ledger.all(Draft, cycle):
                rejection, diagnosis = rejections.get(draft.hash), named[draft.diagnosis]
                self.drafts.append(
                    DraftRow(
                        draft=draft.hash,
                        task=draft.task,
                        question=draft.question,
                        outcome="sample" if draft.hash in samples else "rejected" if rejection else "waiting",
                        reason=rejection.reason if rejection else "",
                        kind=diagnosis.error_kind,
                        strategy=diagnosis.strategy,
                        cycle=cycle,
                        example=diagnosis.example,
                        trained=draft.hash in samples and cycle in trained,
                    )
                )
        self.drafts.reverse()
        self.listing: list[QuestionRow] = []
        self.texts = {draft.hash: f"{draft.question} {draft.answer} {draft.solution}" for draft in ledger.all(Draft)}

    def items(self) -> list[QuestionRow]:
        """In the order of the tasks in the run file, of the splits, and of the ids."""
        if not self.listing:
            ids = sorted(self.answers, key=lambda id: (TASKS.index(id.task), SPLITS.index(id.split), id.example))
            self.listing = [self.item(id) for id in ids]
        return self.listing

    def item(self, id: ItemId) -> QuestionRow:
        path = [answer.score.verdict for _, answer in sorted(self.answers[id].items())]
        newest = self.diagnoses[id][-1] if id in self.diagnoses else None
        drafts = [
            row for row in self.drafts if id.split == "train" and (row.task, row.example) == (id.task, id.example)
        ]
        return QuestionRow(
            task=id.task,
            split=id.split,
            example=id.example,
            skill=self.examples[id].skill,
            kind=newest.error_kind if newest else "",
            misconception=newest.misconception if newest else "",
            fate=fate_of(path),
            path=tuple(path),
            question=self.examples[id].question,
            response_excerpt=self.last(id).text,
            drafts=len(drafts),
            samples=sum(row.outcome == "sample" for row in drafts),
            corrected=False,
        )

    def last(self, id: ItemId) -> Response:
        return self.answers[id][max(self.answers[id])]

    def verdict(self, item: QuestionRow, cycle: int) -> str:
        """By the checkpoint that the cycle began with, or by the newest; empty where it did not answer."""
        if not cycle:
            return item.path[-1]
        answer = self.answers[item.id].get(self.starts.get(cycle, -1))
        return answer.score.verdict if answer else ""

    def passes(self, filter: ItemFilter, item: QuestionRow) -> bool:
        names = ("task", "split", "skill", "kind", "fate")
        verdict = self.verdict(item, filter.cycle)
        named = f"{item.example} {item.skill} {item.kind}"
        return (
            all(getattr(filter, name) in ("", getattr(item, name)) for name in names)
            and verdict != ""
            and filter.verdict in ("", verdict)
            and holds(filter.text, item.question, item.response_excerpt, item.misconception, named)
        )

    def listed(self, filter: ItemFilter, sort: str = "id") -> list[QuestionRow]:
        """The items that a filter lets through, sorted."""
        name, items = sort.removeprefix("-"), self.items()

        def key(place: int) -> tuple[object, ...]:
            item = items[place]
            diagnosed = item.kind != ""
            of = {
                "id": (),
                "skill": (item.skill == "", item.skill),
                "kind": (not diagnosed, item.kind),
                "fate": (FATES.index(item.fate),),
                "newest": (not diagnosed, -self.order.get(item.id, 0)),
                "drafts": (not diagnosed, -item.drafts),
            }
            return (*of[name], place)

        order = sorted(range(len(items)), key=key, reverse=sort.startswith("-"))
        return [items[place] for place in order if self.passes(filter, items[place])]

    def listed_drafts(self, filter: DraftFilter) -> list[DraftRow]:
        """The drafts that a filter lets through, the newest first."""
        names = ("task", "outcome", "reason", "kind", "strategy", "cycle")
        return [
            row
            for row in self.drafts
            if all(getattr(filter, name) in ("", 0, getattr(row, name)) for name in names)
            and holds(filter.text, self.texts[row.draft], row.kind)
        ]


def holds(text: str, *columns: str) -> bool:
    """Whether every word of the text is in a column, the last one as a beginning; signs between letters part words."""
    typed = [" ".join(re.findall(r"[a-z0-9]+", word)) for word in text.lower().split()]
    typed = [word for word in typed if word]  # a single letter at the end is a word
    spaced = [" " + " ".join(re.findall(r"[a-z0-9]+", column.lower())) + " " for column in columns]
    ends = [" "] * (len(typed) - 1) + ["" if len(typed[-1]) > 1 else " "] if typed else []
    return all(any(f" {word}{end}" in column for column in spaced) for word, end in zip(typed, ends, strict=False))


def every(catalogue: Catalogue, filter: ItemFilter, sort: str = "id", size: int = 500) -> list[QuestionRow]:
    """All pages of a list, one after the other."""
    page = catalogue.items(filter, sort, size=size)
    items = list(page.items)
    while page.after:
        page = catalogue.items(filter, sort, page.after, size)
        items += page.items
    assert len(items) == page.total
    return items


def every_draft(catalogue: Catalogue, filter: DraftFilter, sort: str = "newest", size: int = 500) -> list[DraftRow]:
    page = catalogue.drafts(filter, sort, size=size)
    drafts = list(page.drafts)
    while page.after:
        page = catalogue.drafts(filter, sort, page.after, size)
        drafts += page.drafts
    assert len(drafts) == page.total
    return drafts


def filled(run: Path, folder: Path, *, full_text: bool = True) -> Catalogue:
    catalogue = Catalogue.open(run, folder, full_text)
    while not catalogue.refresh(60):
        pass
    return catalogue


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def catalogue(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    made = filled(run, tmp_path_factory.mktemp("catalogues"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(run: Path) -> Plain:
    with open_ledger(run) as ledger:
        return Plain(ledger)


def any_of(*values: str) -> some.SearchStrategy[str]:
    return some.sampled_from(("", *values, "not there"))


WORDS = any_of("what", "answer 17", "ANSWER: 1", "sums-train-01", "carry", "forgets som", "add", "is 4", "think +")
FILTERS = some.builds(
    ItemFilter,
    task=any_of(*TASKS),
    split=any_of(*SPLITS),
    skill=any_of(*SKILLS),
    kind=any_of(*KINDS),
    fate=any_of(*FATES),
    verdict=any_of(*VERDICTS),
    cycle=some.integers(0, 4),
    text=WORDS,
)
FEW_FILTERS = some.one_of(  # most of the filters above let nothing through
    FILTERS,
    some.builds(ItemFilter, split=any_of(*SPLITS), fate=any_of(*FATES)),
    some.builds(ItemFilter, verdict=any_of(*VERDICTS), cycle=some.integers(0, 3)),
    some.builds(ItemFilter, kind=any_of(*KINDS), text=WORDS),
)
DRAFT_FILTERS = some.builds(
    DraftFilter,
    task=any_of("sums"),
    outcome=any_of("sample", "rejected", "waiting", "struck"),
    reason=any_of(*REASONS),
    kind=any_of(*KINDS),
    cycle=some.integers(0, 3),
    text=any_of("how much", "1", "count", "wrong"),
)
SORTS = some.builds("{}{}".format, some.sampled_from(("", "-")), some.sampled_from(ITEM_SORTS))


# what the lists say ---------------------------------------------------------------------------------------------


def test_the_whole_list_holds_every_question_with_all_that_is_known_of_it(catalogue: Catalogue, plain: Plain) -> None:
    assert every(catalogue, ItemFilter()) == plain.items()


@settings(deadline=None, max_examples=120)
@given(filter=FEW_FILTERS, sort=SORTS)
def test_every_filter_and_sort_gives_what_a_plain_reading_gives(
    catalogue: Catalogue, plain: Plain, filter: ItemFilter, sort: str
) -> None:
    assert every(catalogue, filter, sort) == plain.listed(filter, sort)


@settings(deadline=None, max_examples=25)
@given(filter=FEW_FILTERS)
def test_each_facet_says_what_choosing_it_would_leave(catalogue: Catalogue, plain: Plain, filter: ItemFilter) -> None:
    facets = asdict(catalogue.item_facets(filter))
    assert {"fate", "kind", "skill", "cycle"} <= facets.keys()
    for name, counts in facets.items():
        chosen = {value: replace(filter, **{name: int(value) if name == "cycle" else value}) for value, _ in counts}
        assert dict(counts) == {value: len(plain.listed(one)) for value, one in chosen.items()}
        others = replace(filter, **{name: 0 if name == "cycle" else ""})
        left = (
            {str(getattr(item, name)) for item in plain.listed(others)} - {""} if hasattr(QuestionRow, name) else set()
        )
        assert left <= set(chosen)


@settings(deadline=None, max_examples=60)
@given(filter=DRAFT_FILTERS)
def test_drafts_are_filtered_and_counted_as_a_plain_reading_does(
    catalogue: Catalogue, plain: Plain, filter: DraftFilter
) -> None:
    assert every_draft(catalogue, filter) == plain.listed_drafts(filter)
    for name, counts in asdict(catalogue.draft_facets(filter)).items():
        chosen = {value: replace(filter, **{name: int(value) if name == "cycle" else value}) for value, _ in counts}
        assert dict(counts) == {value: len(plain.listed_drafts(one)) for value, one in chosen.items()}


def test_hostile_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    hostile = " <script>alert(1)</script> \x00 \x1b[31m \u202e 'quoted' %_" + "x" * 400
    run = write_run(tmp_path / "run", hostile=hostile)
    catalogue = filled(run, tmp_path / "cache")
    with open_ledger(run) as ledger:
        known = Plain(ledger).items()

    short = [replace(one, question=one.question[:300], response_excerpt=one.response_excerpt[:300]) for one in known]
    assert every(catalogue, ItemFilter()) == short
    assert catalogue.items(ItemFilter(text="<script>alert(1")).total == len(known)
    catalogue.close()


def test_the_fates_are_those_of_the_report(run: Path, catalogue: Catalogue) -> None:
    with open_ledger(run) as ledger:
        report = build(ledger)

    for counted in report.fates:
        facets = catalogue.item_facets(ItemFilter(task=counted.task, split=counted.split))
        assert dict(facets.fate) == {band.fate: band.n for band in counted.bands if band.n}
        for band in counted.bands:
            wanted = ItemFilter(task=counted.task, split=counted.split, fate=band.fate)
            assert catalogue.items(wanted).total == band.n
            assert catalogue.items(replace(wanted, verdict="unscorable")).total == band.unscorable
    assert sum(counted.n for counted in report.fates) == catalogue.items(ItemFilter()).total


def test_an_exam_without_training_waits_for_a_second_answer(tmp_path: Path) -> None:
    catalogue = filled(write_exam(tmp_path / "run"), tmp_path)

    assert {name for name, _ in catalogue.item_facets(ItemFilter()).fate} == {"waiting"}
    assert catalogue.drafts(DraftFilter()).total == 0
    catalogue.close()


# pages ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(filter=FEW_FILTERS, sort=SORTS, size=some.integers(1, 60))
def test_pages_are_the_list_cut_up_forwards_and_backwards(
    catalogue: Catalogue, filter: ItemFilter, sort: str, size: int
) -> None:
    whole = [item.id for item in every(catalogue, filter, sort)]
    page, there, back = catalogue.items(filter, sort, size=size), [], []
    assert page.before == ""
    while True:
        there.append([item.id for item in page.items])
        if not page.after:
            break
        page = catalogue.items(filter, sort, page.after, size)
    while True:
        back.append([item.id for item in page.items])
        if not page.before:
            break
        page = catalogue.items(filter, sort, page.before, size)

    assert [id for ids in there for id in ids] == whole
    assert [id for ids in reversed(back) for id in ids] == whole


@pytest.mark.parametrize("few", [0, 10, 10_000])
def test_how_the_rows_are_found_changes_nothing(
    catalogue: Catalogue, plain: Plain, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(catalogue_lists, "FEW", few)

    for sort in (*ITEM_SORTS, "-drafts", "-kind"):
        for filter in (ItemFilter(), ItemFilter(text="answer 1"), ItemFilter(fate="stubborn", text="what")):
            assert every(catalogue, filter, sort, 7) == plain.listed(filter, sort)


@pytest.mark.parametrize("sort", [*DRAFT_SORTS, *(f"-{sort}" for sort in DRAFT_SORTS)])
def test_drafts_are_sorted_and_cut_up_without_loss(catalogue: Catalogue, plain: Plain, sort: str) -> None:
    drafts, name = every_draft(catalogue, DraftFilter(), sort, 7), sort.removeprefix("-")

    assert sorted(drafts, key=lambda row: row.draft) == sorted(plain.drafts, key=lambda row: row.draft)
    age = {row.draft: place for place, row in enumerate(plain.drafts)}
    orders: dict[str, Callable[[DraftRow], Any]] = {
        "newest": lambda row: age[row.draft],
        "oldest": lambda row: -age[row.draft],
        "outcome": lambda row: get_args(DraftOutcome).index(row.outcome),
    }

    def text(row: DraftRow) -> tuple[bool, str]:
        return getattr(row, name) == "", getattr(row, name)

    values = [orders.get(name, text)(row) for row in drafts]
    assert values == sorted(values, reverse=sort.startswith("-"))


@settings(deadline=None, max_examples=40)
@given(filter=FEW_FILTERS, sort=SORTS, place=some.integers(0, 244))
def test_neighbours_are_those_of_the_list(
    catalogue: Catalogue, plain: Plain, filter: ItemFilter, sort: str, place: int
) -> None:
    order = [item.id for item in plain.listed(ItemFilter(), sort)]
    id, kept = order[place], {item.id for item in plain.listed(filter, sort)}
    broken = {item.id for item in plain.listed(filter, sort) if item.fate == "broken"}
    previous, following = catalogue.neighbours(filter, sort, id)

    assert previous == next((one for one in reversed(order[:place]) if one in kept), None)
    assert following == next((one for one in order[place + 1 :] if one in kept), None)
    assert catalogue.next_broken(filter, sort, id) == next((one for one in order[place + 1 :] if one in broken), None)


def test_what_is_not_there_has_no_neighbours(catalogue: Catalogue) -> None:
    nowhere = ItemId("sums", "train", "sums-train-999")

    assert catalogue.neighbours(ItemFilter(), "id", nowhere) == (None, None)
    assert catalogue.neighbours(ItemFilter(), "id", ItemId("sums", "train", "\ud800")) == (None, None)


@settings(deadline=None)
@given(text=some.text())
def test_any_text_can_be_searched_for(catalogue: Catalogue, text: str) -> None:
    found = catalogue.items(ItemFilter(text=text))

    assert 0 <= found.total <= 245
    assert catalogue.drafts(DraftFilter(text=text)).total <= 54


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a AND", "a and"),
        ("NOT", "not"),
        ("col:x", "col x"),
        ("NEAR(", "near"),
        ("^answer", "answer"),
        ("what -17", "what 17"),
        ("\x00 add", "add"),
        ('"answer"', "answer"),
    ],
)
def test_a_search_is_never_grammar(catalogue: Catalogue, text: str, words: str) -> None:
    assert catalogue.items(ItemFilter(text=text)) == catalogue.items(ItemFilter(text=words))
    assert catalogue.draft_facets(DraftFilter(text=text)) == catalogue.draft_facets(DraftFilter(text=words))


@pytest.mark.parametrize("text", ['"', "'", "*", "(", "a" * 5000])
def test_what_stands_nowhere_is_not_found(catalogue: Catalogue, text: str) -> None:
    assert catalogue.items(ItemFilter(text=text)).total == 0
    assert not any(asdict(catalogue.draft_facets(DraftFilter(text=text))).values())


def test_signs_alone_are_looked_for_as_they_are(catalogue: Catalogue) -> None:
    assert catalogue.items(ItemFilter(text="?")).total == 245
    assert catalogue.items(ItemFilter(text="%_%")).total == 0


@settings(deadline=None)
@given(
    cursor=some.one_of(
        some.text(), some.binary().map(lambda raw: raw.hex()), some.text("WyJpZCIsZmFsc2Us", max_size=60)
    )
)
def test_a_cursor_that_is_not_ours_begins_the_list(catalogue: Catalogue, cursor: str) -> None:
    first = catalogue.items(ItemFilter(), "id")

    assert catalogue.items(ItemFilter(), "id", cursor) == first


@pytest.mark.parametrize(
    "content",
    [
        '["id",false,[2]]',
        '["id",true,["x"],[]]',
        '["id",false,["",99999999999999999999,"a"]]',
        '["id",false,[2,5,"a"]]',
    ],
)
def test_a_cursor_that_was_changed_begins_the_list(catalogue: Catalogue, content: str) -> None:
    cursor = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")

    assert catalogue.items(ItemFilter(), "id", cursor) == catalogue.items(ItemFilter(), "id")


def test_a_cursor_of_another_sort_begins_the_list(catalogue: Catalogue) -> None:
    cursor = catalogue.items(ItemFilter(), "id", size=9).after

    assert catalogue.items(ItemFilter(), "kind", cursor) == catalogue.items(ItemFilter(), "kind")


# a run that goes on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accept", "portion"), [(True, 1000), (True, 7), (False, 1000)])
def test_after_every_step_it_is_what_a_new_one_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accept: bool, portion: int
) -> None:
    monkeypatch.setattr(catalogue_filling, "PORTION", portion)
    grown = Catalogue.open(tmp_path / "run", tmp_path / "grown")
    number = 0
    with open_ledger(tmp_path / "run" / "ledger.sqlite", "write") as ledger:
        for number, _ in enumerate(Scribe(ledger, accept).steps()):
            while not grown.refresh(60):
                pass
            plain = Plain(ledger)
            assert every(grown, ItemFilter(), "kind") == plain.listed(ItemFilter(), "kind")
            assert every(grown, ItemFilter(text="17"), "newest") == plain.listed(ItemFilter(text="17"), "newest")
            assert every_draft(grown, DraftFilter()) == plain.drafts
            if number % 4 == 0:
                fresh = filled(tmp_path / "run", tmp_path / f"fresh-{number}")
                assert grown.item_facets(ItemFilter()) == fresh.item_facets(ItemFilter())
                assert grown.draft_facets(DraftFilter()) == fresh.draft_facets(DraftFilter())
                assert grown.progress()[0] == grown.progress()[1]
                fresh.close()
    assert number > 8
    grown.close()


def test_it_can_be_read_from_the_first_portion(
    tmp_path: Path, run: Path, plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_filling, "PORTION", 20)
    catalogue, seen = Catalogue.open(run, tmp_path), list[int]()
    known = {item.id: item for item in plain.items()}
    while not catalogue.refresh(0):
        for item in every(catalogue, ItemFilter()):
            assert (item.path, item.response_excerpt) == (known[item.id].path, known[item.id].response_excerpt)
        done, total = catalogue.progress()
        assert done <= total
        seen.append(done)

    assert seen == sorted(seen)
    assert len(seen) > 10
    assert every(catalogue, ItemFilter()) == plain.items()
    catalogue.close()


def test_a_catalogue_that_is_up_to_its_ledger_is_left_alone(catalogue: Catalogue) -> None:
    version = catalogue.version()

    assert catalogue.refresh(60)
    assert catalogue.version() == version


def test_a_change_costs_what_it_changes(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "run" / "ledger.sqlite", "write") as ledger:
        scribe = Scribe(ledger)
        for step in scribe.steps():
            if step == "train questions 1":  # the first half
                break
        catalogue = filled(tmp_path / "run", tmp_path)
        evaluation = scribe.evaluation(scribe.base, "sums", "train")
        answered, before = ledger.answered(evaluation), catalogue.version()
        left = [one for one in scribe.examples["sums", "train"] if one.id not in answered]
        ledger.append_responses([scribe._response(scribe.base, evaluation, one) for one in left[:3]])

        assert catalogue.refresh(0)
        assert catalogue.version() == before + 1  # one portion: what was known is not read again
        assert catalogue.items(ItemFilter()).total == len(answered) + 3
    catalogue.close()


def test_what_was_appended_is_read_without_waiting_for_a_refresh(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with open_ledger(tmp_path / "run" / "ledger.sqlite", "write") as ledger:
        steps = Scribe(ledger).steps()
        while next(steps) != "training 1":
            pass
        book = shelf.book("run")
        assert book is not None
        wait_for(lambda: len(set(book.catalogue.progress())) == 1)
        for _ in range(3):
            next(steps)
            assert every(book.catalogue, ItemFilter()) == Plain(ledger).items()
    shelf.close()


# what people change ---------------------------------------------------------------------------------------------


def test_corrections_count_as_theirs_and_the_newest_is_the_last_word(tmp_path: Path, plain: Plain, run: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    catalogue = filled(tmp_path / "run", tmp_path)
    first, second = [row for row in plain.drafts if row.trained and row.cycle == 1][:2]
    item = next(item for item in plain.items() if item.split == "train" and not item.drafts)
    score = Correction(subject=plain.last(item.id).hash, kind="score", verdict="right")
    changes = [
        (Correction(subject=first.draft, kind="strike"), 1),
        (Correction(subject=second.draft, kind="strike"), 2),
        (score, 2),
    ]
    with open_ledger(tmp_path / "run", "write") as ledger:
        for number, (change, cycle) in enumerate(changes):
            ledger.append(change, keys.correction(change.kind, change.subject, number), cycle)
    assert catalogue.refresh(60)

    struck = every_draft(catalogue, DraftFilter(outcome="struck"))
    assert {(row.draft, row.trained) for row in struck} == {(first.draft, False), (second.draft, True)}
    about = {first.example, second.example, item.example}
    assert {one.example for one in every(catalogue, ItemFilter()) if one.corrected} == about
    assert [one.path for one in every(catalogue, ItemFilter())] == [one.path for one in plain.items()]

    edit = Correction(subject=first.draft, kind="edit", question="How many zebras?", answer="7", solution="Look.")
    with open_ledger(tmp_path / "run", "write") as ledger:
        ledger.append(edit, f"edit:{first.draft}:9", 3)
    assert catalogue.refresh(60)
    assert [row.draft for row in every_draft(catalogue, DraftFilter(outcome="edited", text="zebra"))] == [first.draft]

    with open_ledger(tmp_path / "run", "write") as ledger:
        ledger.append(Correction(subject=first.draft, kind="restore"), f"restore:{first.draft}:10", 3)
    assert catalogue.refresh(60)
    assert catalogue.drafts(DraftFilter(text="zebra")).total == 0
    assert {row.outcome for row in every_draft(catalogue, DraftFilter()) if row.draft == first.draft} == {"sample"}
    catalogue.close()


# the file -------------------------------------------------------------------------------------------------------


def test_without_an_index_of_words_they_are_found_all_the_same(tmp_path: Path, run: Path, plain: Plain) -> None:
    catalogue = filled(run, tmp_path, full_text=False)

    assert every(catalogue, ItemFilter()) == plain.items()
    assert every(catalogue, ItemFilter(text="dropped_carry"), "fate") == plain.listed(ItemFilter(kind=KINDS[0]), "fate")
    assert catalogue.items(ItemFilter(text="100%")).total == 0
    catalogue.close()


def test_it_is_filled_once_and_found_again(tmp_path: Path, run: Path, plain: Plain) -> None:
    filled(run, tmp_path).close()
    again = Catalogue.open(run, tmp_path)

    assert every(again, ItemFilter()) == plain.items()
    assert len(list(tmp_path.glob("*.sqlite"))) == 1
    again.close()


def test_a_file_that_is_deleted_or_damaged_is_made_anew(tmp_path: Path, run: Path, plain: Plain) -> None:
    catalogue = filled(run, tmp_path)
    [file] = tmp_path.glob("*.sqlite")
    file.unlink()
    assert catalogue.items(ItemFilter()).total == 0
    assert catalogue.refresh(60)
    assert every(catalogue, ItemFilter()) == plain.items()

    catalogue.close()
    file.write_bytes(b"not a database" * 500)
    catalogue = filled(run, tmp_path)
    assert every(catalogue, ItemFilter()) == plain.items()
    catalogue.close()


def test_another_run_in_the_same_place_has_another_catalogue(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    catalogue = filled(tmp_path / "run", tmp_path / "cache")
    shutil.rmtree(tmp_path / "run")
    write_run(tmp_path / "run", accept=False, hostile=" <b>")
    assert catalogue.refresh(60)

    with open_ledger(tmp_path / "run") as ledger:
        plain = Plain(ledger)
    assert [item.id for item in every(catalogue, ItemFilter())] == [item.id for item in plain.items()]
    assert [item.path for item in every(catalogue, ItemFilter())] == [item.path for item in plain.items()]
    catalogue.close()


@pytest.mark.skipif(os.name == "nt", reason="the file system of Windows has other rules")
def test_where_the_cache_cannot_be_written_a_temporary_file_takes_its_place(
    tmp_path: Path, run: Path, plain: Plain
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    catalogue = filled(run, tmp_path / "cache" / "catalogues")

    assert every(catalogue, ItemFilter()) == plain.items()
    catalogue.close()


def test_several_may_fill_it_in_turn_while_others_read(
    tmp_path: Path, run: Path, plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_filling, "PORTION", 20)
    catalogue, other = Catalogue.open(run, tmp_path), Catalogue.open(run, tmp_path)
    done = False
    while not done:  # as two processes would
        other.refresh(0)
        done = catalogue.refresh(0)
    assert other.refresh(0)
    assert every(other, ItemFilter()) == plain.items()
    other.close()

    wrong: list[object] = []

    def read() -> None:
        for text in ("", "17", "what is 4"):
            found = every(catalogue, ItemFilter(text=text), "fate", 9)
            if found != plain.listed(ItemFilter(text=text), "fate"):
                wrong.append(text)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    catalogue.close()


def test_what_nobody_opened_for_a_month_is_forgotten(tmp_path: Path, run: Path) -> None:
    filled(run, tmp_path).close()
    [file] = tmp_path.glob("*.sqlite")
    opened = file.stat().st_mtime

    forget(tmp_path, opened + FORGOTTEN - 1)
    assert file.exists()
    forget(tmp_path, opened + FORGOTTEN + 1)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    write_run(tmp_path / "run", stop_after=3)
    catalogue = filled(tmp_path / "run", tmp_path / "cache")
    shutil.rmtree(tmp_path / "run")

    with pytest.raises(LedgerError, match="no ledger"):
        catalogue.refresh()
    catalogue.close()


def test_a_damaged_ledger_is_said_to_be_damaged(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with open_ledger(run, "write") as ledger:
        ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = (run / "ledger.sqlite").read_bytes()
    (run / "ledger.sqlite").write_bytes(content[:20_000] + b"x" * (len(content) - 20_000))
    catalogue = Catalogue.open(run, tmp_path / "cache")

    with pytest.raises(LedgerError, match="damaged"):
        catalogue.refresh(60)
    catalogue.close()


def test_groups_are_counted_as_they_are(run: Path, tmp_path: Path) -> None:
    catalogue = filled(run, tmp_path)
    catalogue.close()
    [file] = tmp_path.glob("*.sqlite")
    connection = sqlite3.connect(file)
    for table in ("item", "draft"):
        counted = dict(connection.execute(f"SELECT grp, n FROM {table}_groups WHERE n <> 0"))
        assert counted == Counter(row[0] for row in connection.execute(f"SELECT grp FROM {table}s"))
    connection.close()
