"""How the report puts its numbers into words: one wording for the page, Markdown and the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from synthetic_run import write_run

from errorbook.ledger.file import open_ledger
from errorbook.records import Noise
from errorbook.render import words as sentences
from errorbook.render.charts import BarRow, bar_chart, cycle_chart
from errorbook.render.pages import html as report_html
from errorbook.render.terminal import report_text
from errorbook.render.words import difference_text, p_text, percent, signed
from errorbook.report.build import build
from errorbook.report.records import Difference, Form, Report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    with open_ledger(write_run(tmp_path_factory.mktemp("run"))) as ledger:
        return build(ledger)


@pytest.mark.parametrize(
    ("cap", "words"),
    [
        (None, "$7.25 for 29 instructor calls, with no cap; $0.2417 for each verified sample."),
        (10.0, "$7.25 for 29 instructor calls, 72.5% of the cap of $10.00; $0.2417 for each verified sample."),
        (0.0, "$7.25 for 29 instructor calls, with a cap of $0.00; $0.2417 for each verified sample."),
    ],
)
def test_the_cost_stands_against_its_cap(report: Report, cap: float | None, words: str) -> None:
    capped = replace(report, spending=replace(report.spending, budget_usd=cap))

    assert sentences.spent_text(capped) == words
    assert words in report_html.render(capped)
    assert " ".join(words.split()) in " ".join(report_text(capped, plain_text=True).split())
    assert ("Dollars spent of the cap" in report_html.render(capped)) == bool(cap)


def test_the_noise_floor_stands_beside_every_difference_of_its_task(report: Report) -> None:
    counts = {"n": 64, "texts_differ": 9, "verdicts_differ": 2, "right_before": 30, "right_after": 28}
    noisy = replace(report, noise=(Noise(evaluation="e", task="sums", split="dev", **counts),))
    page = report_html.render(noisy)

    assert sentences.noise_beside(noisy, "sums") == "2 of 64 (−3.1)"
    assert sentences.noise_beside(noisy, "chat") == "not measured"
    shown = sum(len(line.points) - 1 for line in report.by_cycle if line.task == "sums")
    shown += sum(result.difference is not None for result in report.tasks["sums"].values())
    shown += sum(item.task == "sums" for cycle in report.cycles for item in cycle.comparisons)
    assert page.count("2 of 64 (−3.1)") == shown


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, ""),
        ({"strike": 1}, "People struck out 1 sample."),
        ({"edit": 2, "score": 1, "strike": 3}, "People edited 2 samples, corrected 1 score and struck out 3 samples."),
    ],
)
def test_what_people_changed_is_said_in_a_sentence(counts: dict[str, int], words: str) -> None:
    text = sentences.corrections_text(counts)

    assert text.startswith(words)
    assert bool(text) == bool(words)


def test_a_run_that_kept_nothing_repeats_no_number_and_draws_no_empty_chart(tmp_path: Path) -> None:
    with open_ledger(write_run(tmp_path / "none", accept=False)) as ledger:
        page = report_html.render(build(ledger))
    with open_ledger(write_run(tmp_path / "nothing", stop_after=1)) as ledger:
        empty = report_html.render(build(ledger))

    assert "final model</span>" not in page
    assert "No candidate was kept: there is one checkpoint" in page
    assert "not kept" in page, "the candidates' accuracies are shown all the same"
    assert "No question is answered yet." in empty
    assert "No draft is written yet." in empty
    assert 'class="chart"' not in empty


def test_charts_carry_no_style_attribute_and_escape_their_labels(report: Report) -> None:
    drawn = bar_chart("<b>", [BarRow("<i>", "&", ((0.5, "stubborn"), (0.5, "fixed")))], "one")
    lines = [cycle_chart("<b>", line.points) for line in report.by_cycle]

    assert "&lt;i&gt;" in drawn
    assert all("&lt;b&gt;" in line for line in lines)
    for text in (drawn, *lines, report_html.render(report).split("</style>")[1]):
        assert " style=" not in text
        assert "<b>" not in text
        assert "<i>" not in text


def test_numbers_are_written_for_people() -> None:
    assert (percent(0.3149), percent(0.0), percent(1.0)) == ("31.5%", "0.0%", "100.0%")
    assert (signed(0.225), signed(-0.02), signed(0.0)) == ("+22.5", "−2.0", "+0.0")
    assert (p_text(0.00009), p_text(0.0001), p_text(0.0213), p_text(1.0)) == (
        "p < 0.0001",
        "p = 0.0001",
        "p = 0.021",
        "p = 1",
    )
    assert difference_text(Difference(value=0.225, low=-0.15, high=0.298)) == "+22.5 (−15.0 to +29.8)"


def test_a_gain_of_form_is_named_in_the_headline(report: Report) -> None:
    said = "In cycle 1 the gain on dev is one of form: it is not shown among the answers that could be scored before"
    first, *others = report.cycles
    named = replace(report, cycles=(replace(first, form=True), *others))

    assert first.decision == "accept"
    assert said not in sentences.headline(report).text
    assert said in sentences.headline(named).text
    assert said in report_html.render(named)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (
            Form(newly_readable=40, no_longer_readable=0, difference=0.0, p_value=1.0),
            "40 of the 40 fixed answers could not be scored before: without them the change is +0.0 points (a gain by"
            " the one-sided test with p = 1), so the gain is of form alone.",
        ),
        (
            Form(newly_readable=10, no_longer_readable=3, difference=0.2, p_value=0.001),
            "10 of the 40 fixed answers could not be scored before and 3 of the 5 broken ones cannot be scored now:"
            " without them the change is +20.0 points (a gain by the one-sided test with p = 0.001).",
        ),
        (
            Form(newly_readable=0, no_longer_readable=5, difference=0.4, p_value=0.0001),
            "5 of the 5 broken ones cannot be scored now: without them the change is +40.0 points (a gain by the"
            " one-sided test with p = 0.0001).",
        ),
    ],
)
def test_form_is_told_apart_in_words(form: Form, words: str) -> None:
    assert sentences.form_text(40, 0 if form.difference == 0 else 5, form) == words
