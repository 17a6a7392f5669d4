"""What is made of the texts of models: laid out, exact where it matters, and never anything that a browser acts on."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from hostile_texts import DEEP, HOSTILE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from errorbook.render.charts import BarRow, IntervalRow, bar_chart, interval_chart
from errorbook.render.pages.environment import environment
from errorbook.render.pages.model_markup import ATTRIBUTES, MATH, TEXT
from errorbook.render.pages.model_texts import changes, formatted, plain
from errorbook.render.unseen import spell
from errorbook.report.records import Accuracy

MARKERS = st.sampled_from(
    [
        *re.findall(
            r"\S+", r"< > & ' ` ``` $$ \( \) \[ \] \text{ \href{ } { * ** _ # - | 1. x 5 &#60; <script> </math>"
        ),
        *re.findall(r"\S+", "<mtext> <img/src=x/onerror=a()> javascript: [a]( ) !["),
        *(
            '"',
            "\n",
            "\n\n",
            "    ",
            "- ",
            "> ",
            "1. ",
            " ",
            "\x1b[31m",
            "\x00",
            "\u202e",
            "\ud800",
            "\U000f0001",
            "\u200d",
        ),
    ]
)
MESSES = st.lists(st.one_of(MARKERS, st.text(max_size=6)), max_size=40).map("".join)


class Seen(HTMLParser):
    """The elements and attributes that a browser would see, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(str(html))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update((tag, name) for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def words(html: str) -> str:
    """The text of HTML without its spaces."""
    return re.sub(r"\s+", "", Seen(html).text)


ALLOWED = {(tag, name) for tag, names in ATTRIBUTES.items() for name in names} | {("span", "title")}


@given(MESSES)
@settings(max_examples=300, deadline=None)
@example(r"\(\text{<script>alert(1)</script>}\)")
@example(r"$$\href{javascript:alert(1)}{x}\style{color:red}{y}\class{z}{w}$$")
@example(r"\(\text{</mtext></math><img src=x onerror=alert(1)>}\)")
def test_formatted_texts_hold_nothing_but_the_listed_elements(text: str) -> None:
    seen = Seen(formatted(text))

    assert seen.tags <= MATH | TEXT
    assert seen.attributes <= ALLOWED


@given(MESSES)
@settings(max_examples=200, deadline=None)
def test_plain_texts_hold_no_element_but_names_of_characters(text: str) -> None:
    seen = Seen(plain(text))

    assert seen.tags <= {"span"}
    assert seen.attributes <= {("span", "class"), ("span", "title")}


@given(
    st.text(
        st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f\xad", exclude_categories=["Cc"])
    )
)
@settings(max_examples=100, deadline=None)
def test_plain_shows_every_character_as_it_is(text: str) -> None:
    assert unescape(str(plain(text))) == text


@given(MESSES, MESSES)
@settings(max_examples=200, deadline=None)
def test_differences_leave_both_texts_whole(before: str, after: str) -> None:
    old, new = changes(before, after)

    assert re.sub("</?del>", "", old) == plain(before)
    assert re.sub("</?ins>", "", new) == plain(after)
    marked = "<del>" in old or "<ins>" in new
    assert marked == (words(old) != words(new)) or (marked and before != after)


def test_differences_are_words_and_adjacent_ones_are_one() -> None:
    old, new = changes("5 apples and 3 pears.\nAnswer: 8", "5 apples and 4 red pears.\nAnswer: 9")

    assert old == "5 apples and <del>3</del> pears.\nAnswer: <del>8</del>"
    assert new == "5 apples and <ins>4 red</ins> pears.\nAnswer: <ins>9</ins>"


def test_long_texts_are_compared_by_lines_first() -> None:
    lines = [f"line {number} of a long text" for number in range(400)]
    other = [*lines[:200], "another line", *lines[201:]]

    old, new = changes("\n".join(lines), "\n".join(other))

    assert "\n<ins>another</ins> line\n" in new
    assert "\nline <del>200 of a long text</del>\n" in old
    assert old.count("<del>") == new.count("<ins>") == 1


def test_prices_are_text_and_formulas_are_mathematics() -> None:
    html = formatted(r"It costs $5 and $8, so \(x^2\) it is: $$\frac{1}{2}$$")

    assert "It costs $5 and $8, so" in html
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in html
    assert "<mfrac>" in html
    assert html.count("<math") == 2


def test_a_formula_over_several_lines_stays_one() -> None:
    html = formatted("So\n\\[\n x + 1\n - 2 = 5\n\\]\nis it.")

    assert html.count("<math") == 1
    assert "<ul>" not in html
    assert "is it." in html


@pytest.mark.parametrize("source", [r"\(x", r"\[ \frac", "$$", "$$ 5", r"\(\left(\)", r"\(" + "{" * 999 + r"\)"])
def test_what_is_no_formula_is_shown_as_it_was_written(source: str) -> None:
    assert words(formatted(source)) == source.replace(" ", "")


def test_words_within_a_formula_are_words() -> None:
    html = formatted(r"\(\text{if a<b & c>d}\)")

    assert "a&lt;b" in html
    assert "&amp;" in html


@pytest.mark.parametrize(
    "text", ["3*4*5 = 60", "a_b_c", "2*3 and 4*5", "<b>bold</b>", "&lt;", "[x](y)", "![x](y.png)", "<http://a.b>"]
)
def test_what_only_looks_like_markup_is_shown_as_it_was_written(text: str) -> None:
    assert words(formatted(text)) == text.replace(" ", "")


def test_lists_emphasis_tables_and_code_are_laid_out() -> None:
    html = formatted(
        "# Steps\n\n1. **add**\n2. *carry*\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n\n```python\nx = '<b>'\n```"
    )

    assert '<p class="md-heading"><strong>Steps</strong></p>' in html
    assert "<li><strong>add</strong></li>" in html
    assert '<th class="md-right">a</th>' in html
    assert '<span class="s1">&#39;&lt;b&gt;&#39;</span>' in html or "'&lt;b&gt;'" in html


def test_an_unclosed_fence_holds_the_rest() -> None:
    assert words(formatted("before\n```\ncode <i>\nmore")) == "beforecode<i>more"


def test_a_program_without_a_fence_keeps_its_indentation() -> None:
    assert formatted("def f(x):\n    return x") == "<pre>def f(x):\n    return x</pre>"


def test_ten_levels_of_quotes_lose_nothing() -> None:
    assert words(formatted("> " * 40 + "deep")) == ">" * 40 + "deep"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\x1b[31m", "ESC"),
        ("\u202e", "RLO"),
        ("\u2066", "LRI"),
        ("\u200b", "ZWSP"),
        ("\x00", "NUL"),
        ("\ud800", "U+D800"),
        ("\r", "CR"),
        ("\x9b", "U+009B"),
        ("\ufeff", "BOM"),
        ("a\u200db", "ZWJ"),
        ("\U000e0041", "U+E0041"),
    ],
)
def test_characters_that_would_not_be_seen_are_named(text: str, name: str) -> None:
    for html in (plain(text), formatted(f"x {text} x"), changes("", text)[1]):
        assert f">{name}</span>" in html
        assert not set(text) & set(html) - set("a[31mb")


def test_joiners_within_words_and_emoji_stay() -> None:
    text = "\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"

    assert plain(text) == text


def test_no_stand_in_can_be_forged() -> None:
    assert plain("\U000f0000\U000fff00") == "\ufffd\ufffd"
    assert "<script>" not in formatted("\U000fff00script\U000fff01")


@pytest.mark.timeout(60)  # each takes milliseconds; one with a step for each pair of characters would hang
@pytest.mark.parametrize("name", [*HOSTILE, *DEEP])
def test_no_text_hangs(name: str) -> None:
    text = {**HOSTILE, **DEEP}[name]

    assert isinstance(formatted(text), str)
    assert isinstance(plain(text), str)
    assert changes(text, text[::-1])


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_text_becomes_an_element_that_acts(name: str) -> None:
    seen = Seen(formatted(HOSTILE[name]) + plain(HOSTILE[name]))

    assert seen.tags <= MATH | TEXT
    assert not {tag for tag in seen.tags if tag in {"script", "img", "a", "iframe", "form", "style", "svg", "object"}}


def test_clipping_counts_characters() -> None:
    assert plain("x" * 100, limit=10) == "x" * 10
    assert "y" not in formatted("x" * 10 + "y", limit=10)


# labels -----------------------------------------------------------------------------------------------------------

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
TURNING = "a\u202eb\x1b[31mc\u200bd\u2066e\x00f\u0085g\ufeffh\U000e0041i"


def test_no_label_of_a_chart_or_a_page_holds_a_character_that_would_not_be_seen() -> None:
    accuracy = Accuracy(n=4, right=2, planned=4, accuracy=0.5, low=0.1, high=0.9, unscorable=0, truncated=0)
    interval = interval_chart(TURNING, [IntervalRow(TURNING, TURNING, accuracy, None)])
    bars = bar_chart(TURNING, [BarRow(TURNING, TURNING, ((0.5, "fixed"),))], "x")
    page = environment().from_string("<p title='{{ text }}'>{{ text }}</p>{{ text | e }}").render(text=TURNING)
    for drawn in (interval, bars, page.rpartition("</p>")[0]):
        assert "[RLO]" in drawn
        assert "[ESC]" in drawn
        assert not UNSEEN.search(drawn)
    assert page.endswith(TURNING), "what a form sends back is as it was"


def test_joiners_and_letters_of_other_scripts_stay_in_labels() -> None:
    for text in ("می‌خواهم", "क्‍ष", "👩‍🔬", "שלום", "line\nend\ttab"):
        assert spell(text) == text
