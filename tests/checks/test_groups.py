"""Which questions belong together, found by itself or told by the data."""

import random
import time

import pytest

from errorbook.checks.groups import find_groups
from errorbook.records import Example

RIVER = (
    "The Lenn rises below the glacier, runs north through two lakes and a gorge that no road reaches, and joins the sea"
    " near the old salt port. Its water is grey in spring and clear in autumn."
)
BRIDGE = (
    "When the bridge at Orsa was closed in winter, the mill sent its flour by sledge over the frozen bay, and the baker"
    " of the island paid for the horses until the thaw came."
)


def made(*questions: str, groups: tuple[str, ...] = (), skills: tuple[str, ...] = ()) -> list[Example]:
    return [
        Example(
            id=str(place),
            task="t",
            split="dev",
            question=question,
            answer="1",
            group=groups[place] if groups else "",
            skill=skills[place] if skills else "",
        )
        for place, question in enumerate(questions)
    ]


def test_questions_that_share_nothing_stand_alone() -> None:
    assert find_groups(made("What is 3 + 4?", "What is 3 + 5?", "Name the capital of Peru.", "Is 7 odd?")) == ()
    assert find_groups([]) == ()


def test_the_same_question_again_whatever_its_case_and_spacing() -> None:
    assert find_groups(made("How many legs?", "other", "how  many\nLEGS?", "How many arms?")) == (("0", "2"),)


def test_options_tell_questions_apart_and_their_order_does_not() -> None:
    stem = "Which of these is right?"
    options = [("a bee", "a cow"), ("a cow", "a bee"), ("a fish", "a hen"), ("gold", "salt")]
    examples = [
        Example(id=str(place), task="t", split="dev", question=stem, answer="A", choices=choices)
        for place, choices in enumerate(options)
    ]
    assert find_groups(examples) == (("0", "1"),)


def test_nearly_the_same_words_with_the_same_numbers() -> None:
    first = (
        "A farmer packs 12 eggs into each of 7 boxes, carries them to the market and sells 3 boxes. How many are left?"
    )
    near = first.replace("carries them", "brings them")
    other_numbers = first.replace("12", "14")

    assert find_groups(made(first, near, other_numbers)) == (("0", "1"),)


def test_symbols_are_words_if_a_question_holds_little_else() -> None:
    head = "Complete the sequence so that all brackets are closed:"
    assert find_groups(made(f"{head} ( [ {{ ( <", f"{head} < < [ ( [", f"{head} {{ [ ( ( {{")) == ()


@pytest.mark.parametrize("where", ["before", "after", "between"])
def test_questions_on_one_passage(where: str) -> None:
    asked = [
        "Where does it rise?",
        "Which colour has it in spring?",
        "How many lakes are there?",
        "Who paid for horses?",
    ]
    passages = [RIVER, RIVER, RIVER, BRIDGE]
    texts = {
        "before": [f"{passage}\n\n{question}" for passage, question in zip(passages, asked, strict=True)],
        "after": [f"{question} {passage}" for passage, question in zip(passages, asked, strict=True)],
        "between": [f"{question[:9]}: {passage} {question}" for passage, question in zip(passages, asked, strict=True)],
    }
    assert find_groups(made(*texts[where], "What is 4 + 4?")) == (("0", "1", "2"),)


def test_an_instruction_to_all_is_no_passage() -> None:
    questions = [f"{RIVER} Now say how much {number} and {number + 3} are together." for number in range(40)]
    assert find_groups(made(*questions)) == ()
    mixed = [*questions[:20], *(f"{BRIDGE} Item {n}." for n in range(20, 40))]
    assert find_groups(made(*mixed)) == ()


def test_an_instruction_to_one_skill_is_no_passage_either() -> None:
    questions = [f"{RIVER if n < 5 else ''} Question {n} on thing {n * n}" for n in range(20)]
    skills = tuple("rivers" if n < 5 else "things" for n in range(20))

    assert find_groups(made(*questions)) == (("0", "1", "2", "3", "4"),)
    assert find_groups(made(*questions, skills=skills)) == ()


def test_a_template_with_other_names_and_numbers_is_no_passage() -> None:
    """Else all of its questions hung together, one by one, through the few that share a name and a number."""
    generator = random.Random(7)
    questions = [
        f"At the market {generator.choice(('Ada', 'Bo', 'Cem'))} counts {generator.randrange(99)} apples on the shelf"
        f" while {generator.choice(('Dina', 'Egon'))} writes every number down. Then {generator.randrange(9)} more are"
        " delivered in the afternoon, and some of them turn out to be broken. How many are left on the shelf?"
        for _ in range(200)
    ]
    assert max(map(len, find_groups(made(*questions))), default=1) <= 4


def test_what_the_data_say_goes_before_a_search_for_passages() -> None:
    one = "Say in one sentence why nobody who came up the gorge by boat ever told his children about it."
    two = "List the towns that the grey water passes before summer, and the bridges that stand in each of them."
    questions = (f"{RIVER} {one}", f"{RIVER} {two}", "Three?", "Four?", "Three?")

    assert find_groups(made(*questions)) == (("0", "1"), ("2", "4"))

    assert find_groups(made(*questions, groups=("a", "b", "c", "c", ""))) == (("2", "3", "4"),)


def test_groups_that_touch_are_one() -> None:
    assert find_groups(made("One?", "Two?", "One?", "Three?", groups=("", "x", "x", "y"))) == (("0", "1", "2"),)


@pytest.mark.parametrize("n", [400, 4000])
def test_it_takes_time_in_proportion_to_the_questions(n: int) -> None:
    """Even if all are of one template, or all the same."""
    generator = random.Random(3)
    questions = [
        f"Tom has {generator.randrange(99)} apples and buys {generator.randrange(99)} more at the market on Main Street"
        for _ in range(n)
    ]
    begun = time.process_time()
    find_groups(made(*questions, *("the same words again and again",) * n))
    assert time.process_time() - begun < 0.004 * n
