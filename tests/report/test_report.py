"""The report's numbers equal those recomputed from the raw records, at any prefix of a run; its pages are harmless."""

from __future__ import annotations

import html.parser
import math
import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import binomtest
from synthetic_run import CONFIG, HOSTILE, Scribe, write_exam, write_run

from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.events import Event
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.records import (
    Call,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Rejection,
    Response,
    Sample,
    Split,
    Training,
)
from errorbook.render import markdown as report_markdown
from errorbook.render import words as sentences
from errorbook.render.charts import thin_out
from errorbook.render.pages import html as report_html
from errorbook.render.tables import strip_controls
from errorbook.render.terminal import report_text, show_progress
from errorbook.report.build import build
from errorbook.report.records import Accuracy, Report
from errorbook.report.status import find_latest_run, read_status
from errorbook.stats import not_worse, paired_interval

VOID = {"meta", "br", "img", "input", "link", "hr", "line", "rect", "circle", "path", "polyline", "base"}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def report(run_folder: Path) -> Report:
    return read(run_folder)


def read(folder: Path) -> Report:
    with open_ledger(folder) as ledger:
        return build(ledger)


def answers(ledger: Ledger, checkpoint: str, task: str, split: str) -> dict[str, Response]:
    """Raw responses by example id."""
    for evaluation in ledger.all(Evaluation):
        if (evaluation.checkpoint, evaluation.task, evaluation.split) == (checkpoint, task, split):
            return {response.example: response for response in ledger.responses(evaluation)}
    raise AssertionError(f"no evaluation of {checkpoint} on {task} {split}")


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's interval by its textbook formula."""
    z = 1.959963984540054
    share, scale = right / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return middle - half, middle + half


def check_accuracy(shown: Accuracy, responses: list[Response]) -> None:
    right = sum(response.score.verdict == "right" for response in responses)
    assert (shown.right, shown.n, shown.planned) == (right, len(responses), len(responses))
    assert shown.accuracy == pytest.approx(right / len(responses))
    assert (shown.low, shown.high) == pytest.approx(wilson(right, len(responses)), abs=1e-9)
    assert shown.unscorable == sum(response.score.verdict == "unscorable" for response in responses)
    assert shown.truncated == sum(response.truncated for response in responses)


@pytest.mark.parametrize(
    ("task", "split"), [("sums", "train"), ("sums", "dev"), ("sums", "test"), ("chat", "dev"), ("chat", "test")]
)
def test_accuracies_and_differences_equal_the_raw_verdicts(
    run_folder: Path, report: Report, task: str, split: Split
) -> None:
    with open_ledger(run_folder) as ledger:
        last = list(ledger.all(Decision))[-1].checkpoint
        before = answers(ledger, Scribe(ledger).base.hash, task, split)
        after = answers(ledger, last, task, split)
    shown = report.tasks[task][split]
    fixed = sum(before[id].score.verdict != "right" and after[id].score.verdict == "right" for id in before)
    broken = sum(before[id].score.verdict == "right" and after[id].score.verdict != "right" for id in before)

    check_accuracy(shown.base, list(before.values()))
    assert shown.final is not None
    check_accuracy(shown.final, list(after.values()))
    assert (shown.fixed, shown.broken) == (fixed, broken)
    assert shown.difference is not None
    assert shown.difference.value == pytest.approx(shown.final.accuracy - shown.base.accuracy)
    assert (shown.difference.low, shown.difference.high) == paired_interval(fixed, broken, len(before))
    assert shown.p_value == pytest.approx(binomtest(fixed, fixed + broken).pvalue)
    guards = task == "chat"
    assert shown.worse_p == (pytest.approx(not_worse(fixed, broken, len(before), 0.5)) if guards else None)


def test_skills_add_up_to_the_test_split(run_folder: Path, report: Report) -> None:
    whole = report.tasks["sums"]["test"]
    with open_ledger(run_folder) as ledger:
        skills = Counter(example.skill for example in ledger.all(Example) if example.id.startswith("sums-test"))
    finals = [item.final for item in report.skills if item.final]

    assert {item.skill: item.base.n for item in report.skills} == dict(skills)
    assert sum(item.base.right for item in report.skills) == whole.base.right
    assert whole.final is not None
    assert sum(item.right for item in finals) == whole.final.right
    assert (sum(item.fixed for item in report.skills), sum(item.broken for item in report.skills)) == (
        whole.fixed,
        whole.broken,
    )


def test_kinds_of_mistakes_equal_the_raw_diagnoses(run_folder: Path, report: Report) -> None:
    with open_ledger(run_folder) as ledger:
        last = list(ledger.all(Decision))[-1].checkpoint
        after = answers(ledger, last, "sums", "train")
        diagnoses = list(ledger.all(Diagnosis, cycle=1))
    n = Counter(diagnosis.error_kind for diagnosis in diagnoses)
    fixed = Counter(
        diagnosis.error_kind for diagnosis in diagnoses if after[diagnosis.example].score.verdict == "right"
    )

    assert {item.kind: (item.n, item.fixed) for item in report.error_kinds} == {
        kind: (count, fixed[kind]) for kind, count in n.items()
    }
    assert [item.n for item in report.error_kinds] == sorted(n.values(), reverse=True)
    (again,) = report.relearnt
    train = report.tasks["sums"]["train"]
    assert (len(again.fixed), len(again.broken)) == (train.fixed, train.broken)
    assert train.final is not None
    assert (again.right_before, again.right_after) == (train.base.right, train.final.right)


def check_funnel(ledger: Ledger, report: Report) -> None:
    funnel = report.funnel
    assert (funnel.drafts, funnel.samples) == (ledger.count(Draft), ledger.count(Sample))
    assert funnel.rejected == Counter(rejection.reason for rejection in ledger.all(Rejection))
    assert funnel.drafts == funnel.samples + sum(funnel.rejected.values()) + funnel.waiting
    assert funnel.samples == funnel.trained + funnel.untrained
    assert funnel.diagnosed == ledger.count(Diagnosis)
    for item in funnel.cycles:
        assert item.drafts == item.samples + sum(item.rejected.values()) + item.waiting
        assert item.samples == item.trained + item.untrained
        training = ledger.find(Training, keys.training(item.cycle))
        assert item.trained == (training.lessons - training.replayed if training else 0)
    trained_accepted = {cycle.cycle for cycle in report.cycles if cycle.decision == "accept"}
    assert funnel.kept == sum(item.trained for item in funnel.cycles if item.cycle in trained_accepted)


def test_the_funnel_adds_up(run_folder: Path, report: Report) -> None:
    with open_ledger(run_folder) as ledger:
        check_funnel(ledger, report)

    assert report.funnel.waiting == 1
    assert report.funnel.failed == {"diagnose": 2}
    assert 0 < report.funnel.kept < report.funnel.trained


def test_decisions_time_and_cost_are_those_recorded(run_folder: Path, report: Report) -> None:
    with open_ledger(run_folder) as ledger:
        decisions, events, calls = list(ledger.all(Decision)), ledger.events(), list(ledger.all(Call))

    assert [(item.cycle, item.decision, item.reason) for item in report.cycles] == [
        (item.cycle, item.outcome, item.reason) for item in decisions
    ]
    assert [item.decision for item in report.cycles] == ["accept", "reject"]
    assert [item.comparisons for item in report.cycles] == [item.comparisons for item in decisions]
    assert report.seconds == pytest.approx(sum(event.seconds for event in events))
    assert report.spending.calls == len(calls)
    assert report.spending.usd == pytest.approx(0.25 * len(calls))
    assert report.finished


def test_json_has_the_promised_shape(run_folder: Path, report: Report) -> None:
    value = msgspec.json.decode(msgspec.json.encode(report))

    assert value["run"] == str(run_folder)
    assert value["seconds"] > 0
    assert {"decision", "reason"} <= set(value["cycles"][0])
    result = value["tasks"]["sums"]["test"]
    assert {"base", "final", "p_value", "difference"} <= set(result)
    for side in ("base", "final"):
        assert {"right", "n", "accuracy", "low", "high", "unscorable"} <= set(result[side])
    assert {"value", "low", "high"} == set(result["difference"])


def test_mistakes_are_drawn_evenly_over_their_kinds(report: Report) -> None:
    counts = Counter(case.kind for case in report.cases)

    assert len(report.cases) == sum(item.n for item in report.strata) == 18, (
        "there are fewer than the report would show"
    )
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(case.after is not None and len(case.drafts) == 2 for case in report.cases)
    assert {draft.outcome for case in report.cases for draft in case.drafts} == {"sample", "rejected"}


def every_prefix() -> list[int]:
    return list(range(1, 21))


@pytest.mark.parametrize("steps", every_prefix())
def test_every_prefix_of_a_run_can_be_reported(tmp_path: Path, steps: int) -> None:
    write_run(tmp_path, stop_after=steps)
    with open_ledger(tmp_path) as ledger:
        report, status = build(ledger), read_status(ledger)
        check_funnel(ledger, report)
        answered = sum(ledger.tally(evaluation).n for evaluation in ledger.all(Evaluation))

    assert report.finished == status.finished == (steps == 20)
    assert sum(item.done for item in status.evaluations) == answered
    assert 0 <= status.cycle <= CONFIG.run.cycles
    page = report_html.render(report)
    assert sentences.headline(report).title in page
    assert report_markdown.render(report)
    assert report_text(report, plain_text=True)


def test_an_exam_is_reported_without_a_final_model(tmp_path: Path) -> None:
    report = read(write_exam(tmp_path))

    assert report.cycles == ()
    assert set(report.tasks["sums"]) == {"train", "dev"}
    assert set(report.tasks["chat"]) == {"dev"}, "a split without questions is not shown"
    assert all(result.final is None for splits in report.tasks.values() for result in splits.values())
    assert [(item.kind, item.fate) for item in report.strata] == [("", "waiting")]
    base = report.tasks["sums"]["train"].base
    assert len(report.cases) == report.strata[0].n == base.n - base.right - base.unscorable
    assert "base model" in sentences.headline(report).text
    assert report_html.render(report)


def test_a_run_that_compared_nothing_says_nothing_of_a_gain(tmp_path: Path) -> None:
    report = read(write_run(tmp_path, accept=False))
    reason = "no draft passed verification (3 format), so there was nothing to train on"
    cycles = tuple(replace(cycle, comparisons=(), reason=reason) for cycle in report.cycles)
    told = sentences.headline(replace(report, cycles=cycles))

    assert told.title == "No candidate was examined; the base model stays"
    assert "nothing came as far as the gate" in told.text
    assert told.text.endswith("No draft passed verification (3 format), so there was nothing to train on.")
    assert "lost" not in told.text


@pytest.mark.parametrize(("unread", "said"), [(0, "made no mistake"), (5, "5 of its answers could not be scored")])
def test_no_mistake_is_said_only_of_what_was_seen_right(unread: int, said: str, tmp_path: Path) -> None:
    report = read(write_run(tmp_path, accept=False))
    stopped = tuple(replace(cycle, decision="stop", comparisons=()) for cycle in report.cycles)
    train = report.tasks["sums"]["train"]
    base = replace(train.base, right=train.base.n - unread, unscorable=unread)
    tasks = {"sums": {**report.tasks["sums"], "train": replace(train, base=base)}}

    assert said in sentences.headline(replace(report, cycles=stopped, tasks=tasks)).text


def test_a_run_without_a_gain_is_told_calmly(tmp_path: Path) -> None:
    report = read(write_run(tmp_path, accept=False))
    shown = report_text(report, plain_text=True)

    assert report.final_is_base
    assert report.finished
    assert sentences.headline(report).title == "No gain was shown; the base model stays"
    assert not re.search(r"fail|error|sorry|!", sentences.headline(report).text)
    assert "nothing was lost" in shown
    assert "nothing was lost" in report_html.render(report)


def test_a_ledger_without_a_run_is_refused(tmp_path: Path) -> None:
    with (
        open_ledger(tmp_path / "ledger.sqlite", "write") as ledger,
        pytest.raises(LedgerError, match="holds no run yet"),
    ):
        build(ledger)


def test_the_latest_run_is_the_one_last_written_to(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="errorbook demo"):
        find_latest_run(tmp_path)
    for name in ("old", "new"):
        write_run(tmp_path / name, stop_after=1)

    assert find_latest_run(tmp_path) == tmp_path / "new"


class Page(html.parser.HTMLParser):
    """Collects tags and attributes as a browser would see them, and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return read(write_run(tmp_path_factory.mktemp("hostile"), hostile=HOSTILE))


def test_the_page_is_well_formed_and_fetches_and_runs_nothing(report: Report) -> None:
    text = report_html.render(report)
    page = Page(text)

    assert page.open == []
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(page.tags)
    assert "://" not in text
    assert [value for _, name, value in page.attributes if name in {"src", "href"}] == []
    assert page.tags["svg"] >= 5
    assert page.tags["table"] >= 5
    assert page.tags["h1"] == 1


def test_hostile_texts_stay_text(hostile_report: Report) -> None:
    text = report_html.render(hostile_report)
    page = Page(text)

    assert page.open == []
    assert not {"script", "img"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert page.tags["style"] == 1


def test_hostile_texts_do_not_break_out_of_markdown(hostile_report: Report) -> None:
    text = report_markdown.render(hostile_report)
    outside, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line.removesuffix("text")
        else:
            outside.append(line)

    assert fence == ""
    assert not any(re.search(r"(?<!\\)<(script|img)", line) for line in outside)
    assert not any(re.search(r"(?<!\\)\]\(", line) for line in outside)
    assert "# heading" not in outside
    rows = [line for line in outside if line.startswith("|") and "script" in line]
    assert rows
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5, 8}, "a cost has 4 cells, a kind 7"


def test_hostile_texts_do_not_drive_the_terminal(hostile_report: Report) -> None:
    text = report_text(hostile_report, plain_text=True)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>" in text


@given(st.text())
def test_printed_texts_have_no_control_characters(text: str) -> None:
    assert all(c in "\n\t" or c.isprintable() or not c.isascii() for c in strip_controls(text).plain)


def test_rendering_twice_gives_the_same_bytes(run_folder: Path) -> None:
    first, second = read(run_folder), read(run_folder)

    assert report_html.render(first) == report_html.render(second)
    assert report_markdown.render(first) == report_markdown.render(second)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_every_chart_has_its_numbers_in_a_table(report: Report) -> None:
    text = Page(report_html.render(report)).text

    assert report.skills
    assert report.tasks
    assert report.trainings
    for item in report.skills:
        assert sentences.with_interval(item.base) in text
    for splits in report.tasks.values():
        for result in splits.values():
            assert result.difference is not None
            assert sentences.difference_text(result.difference) in text
    for training in report.trainings:
        assert f"{training.losses[0]:.3f}" in text


@given(st.lists(st.floats(min_value=0, max_value=20), max_size=2000), st.integers(min_value=1, max_value=300))
def test_thinning_keeps_the_order_the_mean_and_the_limit(losses: list[float], most: int) -> None:
    points = thin_out(losses, most)
    size = -(-len(losses) // most) if losses else 1
    weights = [min(size, len(losses) - start) for start in range(0, len(losses), size)]

    assert len(points) <= most
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    assert all(0 <= step < len(losses) for step, _ in points)
    weighted = sum(loss * weight for (_, loss), weight in zip(points, weights, strict=True))
    assert weighted == pytest.approx(sum(losses), abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (252, "4 min 12 s"), (3599.7, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert sentences.duration(seconds) == text


def test_progress_in_a_log_is_a_few_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(2) as watch:
        for done in (*range(0, 101), 100):
            watch(Event("evaluate", 1, done, 100, "[b]", "dev"))
        watch(Event("verify", 0, 0, 3))
        watch(Event("verify", 0, 3, 3))
        watch(Event("evaluate", 3, 9, 9, "sums", "test"))

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "cycle 1: evaluate [b] dev ... 0/100",
        "cycle 1: evaluate [b] dev ... 100/100",
        "verify ... 0/3",
        "verify ... 3/3",
        "final exam: evaluate sums test ... 9/9",
    ]
