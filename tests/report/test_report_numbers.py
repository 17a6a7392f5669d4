"""Every number of a report equals the raw rows' (recomputed without the report's own code), in JSON and on its pages.

What HTML, Markdown and the terminal show is parsed out of them again, and read by the headings of its columns.
"""

from __future__ import annotations

import html.parser
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from raw_numbers import Raw, Row, expected, fate, kinds_of
from server_kit import WEB, serving
from synthetic_run import write_run

from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, open_ledger
from errorbook.ledger.run_view import note_budget
from errorbook.records import Checkpoint, Correction, Evaluation, Noise
from errorbook.render import markdown as report_markdown
from errorbook.render.pages import html as report_html
from errorbook.render.terminal import report_text
from errorbook.render.words import words
from errorbook.report.build import build
from errorbook.report.fates import FATES
from errorbook.report.records import Report


def same(shown: Any, wanted: Any, where: str = "") -> None:
    """Equal, numbers up to rounding; only what is wanted counts."""
    if isinstance(wanted, dict):
        assert isinstance(shown, dict), where
        assert where in {".tasks", ".cycles"} or "reason" in wanted or set(shown) == set(wanted), where
        for name, value in wanted.items():
            same(shown[name], value, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(shown) == len(wanted), where
        for index, value in enumerate(wanted):
            same(shown[index], value, f"{where}[{index}]")
    elif isinstance(wanted, float):
        assert shown == pytest.approx(wanted, abs=1e-6), where
    else:
        assert shown == wanted, where


def add_noise_and_corrections(folder: Path) -> None:
    with open_ledger(folder, "write") as ledger:
        base = ledger.find(Checkpoint, keys.BASE)
        (dev,) = [
            item
            for item in ledger.all(Evaluation)
            if base and (item.checkpoint, item.task, item.split) == (base.hash, "sums", "dev")
        ]
        noise = Noise(
            evaluation=dev.hash,
            task="sums",
            split="dev",
            n=50,
            texts_differ=4,
            verdicts_differ=3,
            right_before=20,
            right_after=21,
        )
        ledger.append(noise, key="noise")
        for cap in (20.0, 50.0):  # raised in between
            note_budget(ledger, cap)
        struck, edited = Correction(subject="a", kind="strike"), Correction(subject="b", kind="edit")
        made = [(struck, "strike:a:1"), (edited, "edit:b:1"), (struck, "strike:a:2")]
        ledger.extend([Entry(record, key, record.subject) for record, key in made], 2)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two accepted cycles: every fate occurs."""
    folder = write_run(tmp_path_factory.mktemp("both"), both=True)
    add_noise_and_corrections(folder)
    return folder


@pytest.fixture(scope="module")
def control_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("control"))


@pytest.fixture(scope="module")
def report(run_folder: Path, control_folder: Path) -> Report:
    return read(run_folder, control_folder)


def read(folder: Path, control: Path | None = None) -> Report:
    with open_ledger(folder) as ledger:
        if control is None:
            return build(ledger)
        with open_ledger(control) as other:
            return build(ledger, other)


def test_every_number_of_the_json_equals_the_raw_rows(run_folder: Path, control_folder: Path, report: Report) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(report))
    wanted = expected(run_folder, control_folder)
    whole = wanted.pop("whole")

    for name, value in wanted.items():
        same(shown[name], value, f".{name}")
    same(shown["control"]["whole"], whole)
    assert set(shown) - set(wanted) == {
        *("run", "name", "version", "model", "instructor", "strategy", "planned_cycles", "finished", "final_is_base"),
        *("detectable", "cases", "strata", "control", "changes", "left_out", "directed"),
    }, "a new number needs its own recomputation here"
    assert {band["fate"] for item in shown["fates"] for band in item["bands"] if band["n"]} == {
        *("fixed", "relapsed", "stubborn", "broken", "still_right"),
    }


def test_a_run_whose_second_candidate_is_turned_down_is_counted_alike(control_folder: Path) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(read(control_folder)))
    wanted = expected(control_folder, None)
    assert wanted.pop("whole") is None

    for name, value in wanted.items():
        same(shown[name], value, f".{name}")
    dev = next(line for line in shown["by_cycle"] if (line["task"], line["split"]) == ("sums", "dev"))
    assert [(point["cycle"], point["kept"]) for point in dev["points"]] == [(0, True), (1, True), (2, False)]
    assert shown["control"] is None


def test_the_strata_count_the_mistakes_and_the_cases(run_folder: Path, report: Report) -> None:
    raw = Raw(run_folder)
    paths = [raw.verdicts(point, "sums", "train") for point in raw.chain]
    n = Counter(
        (kind, fate([verdicts[body["example"]] for verdicts in paths]))
        for (_, kind), bodies in kinds_of(raw).items()
        for body in bodies
    )
    shown: Counter[tuple[str, str]] = Counter((case.kind, case.fate) for case in report.cases)

    assert {(item.kind, item.fate): item.n for item in report.strata} == dict(n)
    assert {(item.kind, item.fate): item.shown for item in report.strata} == {key: shown[key] for key in n}
    for case in report.cases:
        assert case.fate == fate([verdicts[case.example] for verdicts in paths])
        assert case.before.text == raw.responses[raw.base, "sums", "train"][case.example]["text"]


# What the pages show ------------------------------------------------------------------------------------------------


class Tables(html.parser.HTMLParser):
    """The cells of every table, by the label of the region that it scrolls in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self.label = ""
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div" and dict(attrs).get("role") == "region":
            self.label = dict(attrs)["aria-label"] or ""
            self.found[self.label] = []
        elif tag == "tr":
            self.found[self.label].append([])
        elif tag in {"td", "th"}:
            self.found[self.label][-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self.inside = False
            self.found[self.label][-1][-1] = " ".join(self.found[self.label][-1][-1].split())

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[self.label][-1][-1] += data


def tables_of_markdown(text: str) -> list[list[list[str]]]:
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            found[-1].append([cell.strip().replace("\\", "") for cell in line.strip("|").split(" | ")])
        elif not line.startswith("|") and found[-1]:
            found.append([])
    return found


def table_of_terminal(text: str, title: str) -> list[list[str]]:
    """The cells of one table, whose columns stand at least two spaces apart; a sentence may follow it."""
    lines = iter(text.splitlines())
    assert any(line.strip() == title for line in lines), title
    return [re.split(r"\s{2,}", line.strip()) for line in takewhile(lambda line: "  " in line.strip(), lines)]


SAME_HEADING = {
    "Difference, points": "Difference",
    "Difference (95%)": "Difference",
    "Difference to the base": "Difference",
    "To the base, points": "Difference",
    "Mistakes in cycle 1": "Mistakes",
    "Newly broken, same skills": "Newly broken",
    "On dev": "Task",
}
"""What the page, Markdown and the expected rows call alike."""


def require(table: Sequence[Sequence[str]], wanted: Sequence[Mapping[str, object]], without: str = "") -> None:
    """The cells below the wanted headings are the wanted ones; `without` is left out of the cells."""
    heads = [SAME_HEADING.get(head, head) for head in table[0]]
    assert len(heads) == len(set(heads)), heads
    shown = [
        dict(zip(heads, (cell.strip("✓× ").replace(without, "") for cell in row), strict=True)) for row in table[1:]
    ]
    assert wanted
    assert len(shown) == len(wanted)
    assert [{head: row[head] for head in want} for row, want in zip(shown, wanted, strict=True)] == list(wanted)


NUMBER = re.compile(r"[+−-]?\d+(?:\.\d+)?(?:e[+-]\d+)?")


class Shown:
    """Equal to a text that shows these numbers and no others, each rounded to as many digits as the text gives it."""

    def __init__(self, *values: float, sign: str = "") -> None:
        self.values = values
        self.sign = sign

    def __repr__(self) -> str:
        return f"Shown{self.values}"

    def __hash__(self) -> int:
        return hash(self.values)

    def __eq__(self, text: object) -> bool:
        found = NUMBER.findall(str(text))
        close = len(found) == len(self.values) and all(map(rounds_to, self.values, found))
        return close and self.sign in str(text)


class PValue(Shown):
    """Equal to a text that gives this p-value, or says that it lies below the least one that is written out."""

    def __eq__(self, text: object) -> bool:
        if str(text).startswith("p < "):
            return self.values[0] < float(str(text).removeprefix("p < ")) <= 0.001
        return str(text).startswith("p = ") and super().__eq__(text)

    __hash__ = Shown.__hash__


def rounds_to(value: float, text: str) -> bool:
    exact = Decimal(text.replace("−", "-"))
    place = exact.as_tuple().exponent
    assert isinstance(place, int)
    return abs(value - float(exact)) <= 0.500001 * 10.0**place


def with_bounds(item: Row) -> Shown:
    return Shown(100 * item["accuracy"], 100 * item["low"], 100 * item["high"], sign="%")


def gain(item: Row) -> Shown:
    return Shown(*(100 * item[name] for name in ("value", "low", "high")), sign="−" if item["value"] < 0 else "+")


def p(value: float) -> PValue:
    return PValue(value)


def dollars(value: float) -> Shown:
    return Shown(value, sign="$")


def noise(task: str) -> str:
    return "3 of 50 (+2.0)" if task == "sums" else "not measured"


Wanted = list[dict[str, str | Shown]]


def accuracy_rows(wanted: Row) -> Wanted:
    return [
        {
            "Task": f"{task} (guard)" if item["role"] == "guard" else task,
            "Split": split,
            "Questions": str(item["base"]["n"]),
            "Base": with_bounds(item["base"]),
            "Final": with_bounds(item["final"]),
            "Difference": gain(item["difference"]),
            "Noise floor": noise(task),
            "McNemar": p(item["p_value"]),
        }
        for task, splits in wanted["tasks"].items()
        for split, item in splits.items()
    ]


def cycle_rows(wanted: Row) -> Wanted:
    return [
        {
            "Task": line["task"],
            "Split": line["split"],
            "Checkpoint": f"cycle {point['cycle']}" if point["cycle"] else "base",
            "Kept": "yes" if point["kept"] else "no",
            "Right": f"{point['accuracy']['right']} of {point['accuracy']['n']}",
            "Accuracy": with_bounds(point["accuracy"]),
            "Difference": gain(point["difference"]) if point["difference"] else "–",
            "Noise floor": noise(line["task"]) if point["difference"] else "–",
        }
        for line in wanted["by_cycle"]
        for point in line["points"]
    ]


def fate_rows(wanted: Row) -> Wanted:
    return [
        {
            "Task": item["task"],
            "Split": item["split"],
            "Questions": str(item["n"]),
            "Checkpoints": str(item["checkpoints"]),
            **{
                words(band["fate"]): f"{band['n']} ({band['unscorable']})" if band["unscorable"] else str(band["n"])
                for band in item["bands"]
            },
        }
        for item in wanted["fates"]
    ]


def effect_rows(wanted: Row) -> Wanted:
    return [
        {
            "Kind": item["kind"].replace("_", " "),
            "Mistakes": str(item["n"]),
            "Fixed": Shown(item["fixed"], 100 * item["fixed"] / item["n"], sign="%"),
            "Samples": f"{item['trained']}" + (f" ({item['kept']} kept)" if item["kept"] != item["trained"] else ""),
            "Newly broken": f"{item['broken']} of {item['right_before']}",
            "Dollars": dollars(item["usd"]),
            "Here": f"{item['control']['fixed']} of {item['control']['n']}",
            "Control": f"{item['control']['control_fixed']} of {item['control']['n']}",
            "Difference": gain(item["control"]["difference"]),
            "Noise floor": noise("sums"),
            "McNemar": p(item["control"]["p_value"]),
        }
        for item in wanted["error_kinds"]
    ]


def decision_rows(comparisons: Sequence[Row]) -> Wanted:
    return [
        {
            "Before": f"{item['right_before']} of {item['n']}",
            "Candidate": f"{item['right_after']} of {item['n']}",
            "Fixed": str(item["fixed"]),
            "Broken": str(item["broken"]),
            "Difference": gain({"value": item["difference"], **item}),
            "Noise floor": noise(item["task"]),
            "Test": p(item["p_value"]),
            "Passed": "yes" if item["passed"] else "no",
        }
        for item in comparisons
    ]


def cost_rows(wanted: Row) -> Wanted:
    return [
        {
            "Dollars": dollars(item["usd"]),
            "Verified": str(item["samples"]),
            "Each": "–" if item["each"] is None else dollars(item["each"]),
        }
        for item in wanted["spending"]["by_kind"]
    ]


def funnel_rows(wanted: Row) -> Wanted:
    return [
        {
            "Cycle": str(item["cycle"]),
            "Mistakes": str(item["mistakes"]),
            "Drafts": str(item["drafts"]),
            "Verified": str(item["samples"]),
            "Rejected": str(sum(item["rejected"].values())),
            "Waiting": str(item["waiting"]),
            "Trained on": str(item["trained"]),
        }
        for item in wanted["funnel"]["cycles"]
    ]


def terminal_funnel_rows(wanted: Row) -> Wanted:
    """The terminal writes headings small, and beside each count of rejections its reason."""
    rejected = [
        ", ".join(f"{n} {words(reason)}" for reason, n in sorted(item["rejected"].items()))
        for item in wanted["funnel"]["cycles"]
    ]
    shown = ("Cycle", "Mistakes", "Drafts", "Verified", "Trained on")
    return [
        {**{head.lower(): row[head] for head in shown}, "rejected": reasons}
        for row, reasons in zip(funnel_rows(wanted), rejected, strict=True)
    ]


def test_the_page_shows_the_numbers_of_the_raw_rows(run_folder: Path, control_folder: Path, report: Report) -> None:
    wanted, page = expected(run_folder, control_folder), report_html.render(report)
    tables = Tables(page).found
    fates = [{head: cell for head, cell in row.items() if head != "waiting"} for row in fate_rows(wanted)]
    certain = [[cell.replace(" ?)", ")") for cell in row] for row in tables["Fates by task and split"]]

    require(tables["Accuracy table"], accuracy_rows(wanted))
    require(tables["Accuracy of every checkpoint"], cycle_rows(wanted), without=" (guard)")
    require(certain, fates, without=" (guard)")
    assert {row["waiting"] for row in fate_rows(wanted)} == {"0"}, "no column, since none waits"
    require(tables["Effects by kind of mistake"], effect_rows(wanted))
    for cycle in wanted["cycles"]:
        require(tables[f"Dev comparisons of cycle {cycle['cycle']}"], decision_rows(cycle["comparisons"]))
    require(tables["Cost of verified samples"], cost_rows(wanted))
    require(tables["Drafts by cycle"], funnel_rows(wanted))
    assert "People edited 1 sample and struck out 2 samples." in page
    assert f"${wanted['spending']['usd']:.2f} for {wanted['spending']['calls']} instructor calls" in page


def test_the_terminal_shows_the_funnel_of_the_raw_rows(run_folder: Path, control_folder: Path, report: Report) -> None:
    shown = table_of_terminal(report_text(report, plain_text=True), "From drafts to training")

    require(shown, terminal_funnel_rows(expected(run_folder, control_folder)))


def test_each_cell_of_the_terminals_funnel_stands_below_its_heading(report: Report) -> None:
    """Every count is another one here; in the run all that is verified is trained on."""
    cycle = replace(report.funnel.cycles[0], cycle=1, mistakes=2, drafts=3, samples=4, trained=5, rejected={"leak": 6})
    text = report_text(replace(report, funnel=replace(report.funnel, cycles=(cycle,))), plain_text=True)

    want = {"cycle": "1", "mistakes": "2", "drafts": "3", "verified": "4", "trained on": "5", "rejected": "6 leak"}
    require(table_of_terminal(text, "From drafts to training"), [want])


def test_every_table_of_the_browsers_page_is_the_reports(run_folder: Path) -> None:
    sent = Tables(report_html.render(read(run_folder))).found
    with serving(run_folder.parent) as address:
        shown = Tables(WEB.get(f"{address}/runs/{run_folder.name}").text).found

    # There its numbers are links, which say to those who hear them what they lead to.
    spoken = re.compile(rf"(?<=\d) ({'|'.join(words(fate) for fate in FATES)})\b")
    shown["Fates by task and split"] = [
        [spoken.sub("", cell) for cell in row] for row in shown["Fates by task and split"]
    ]
    assert len(shown) >= 8
    assert shown == {label: sent[label] for label in shown}


def test_markdown_shows_the_numbers_of_the_raw_rows(run_folder: Path, control_folder: Path, report: Report) -> None:
    wanted, tables = expected(run_folder, control_folder), tables_of_markdown(report_markdown.render(report))
    by_head = {tuple(table[0][:3]): table for table in tables if table}
    accuracy, fates = (table for table in tables if table and table[0][:3] == ["Task", "Split", "Questions"])
    decisions = [table for table in tables if table and table[0][0] == "On dev"]

    require(accuracy, accuracy_rows(wanted))
    require(fates, fate_rows(wanted))
    require(by_head["Task", "Split", "Checkpoint"], cycle_rows(wanted))
    require(by_head["Task", "Kind", "Mistakes in cycle 1"], effect_rows(wanted))
    for table, cycle in zip(decisions, wanted["cycles"], strict=True):
        require(table, decision_rows(cycle["comparisons"]))
    require(by_head["Against", "Dollars", "Verified"], cost_rows(wanted))


# The control --------------------------------------------------------------------------------------------------------


def test_without_a_control_the_page_says_association_not_proof(run_folder: Path) -> None:
    alone = read(run_folder)

    assert alone.control is None
    assert "Association, not proof" in report_html.render(alone)
    assert "Association, not proof" in report_markdown.render(alone)


def test_with_a_control_the_page_says_what_it_fixed_of_the_same_mistakes(report: Report) -> None:
    assert report.control is not None
    assert report.control.whole is not None
    page = report_html.render(report)

    assert "Association, not proof" not in page
    assert f"of {report.control.whole.n} shared mistakes {report.control.whole.fixed} fixed here" in page


def test_a_control_that_has_not_asked_its_train_questions_again_is_refused(run_folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path, stop_after=10)

    with pytest.raises(LedgerError, match="has not asked its final model"):
        read(run_folder, tmp_path)


def test_a_control_of_other_questions_or_another_base_is_refused(run_folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "other", hostile="!")
    with pytest.raises(LedgerError, match="same train questions"):
        read(run_folder, tmp_path / "other")

    with open_ledger(tmp_path / "weights", "write") as ledger, open_ledger(run_folder) as source:
        ledger.state("config", source.fact("config") or "")
        ledger.append(Checkpoint(base="tiny", base_fingerprint="e" * 32), key=keys.BASE)
    with pytest.raises(LedgerError, match="other weights"):
        read(run_folder, tmp_path / "weights")
