"""A stand-in for the strong model of the tutorial: it sorts support tickets by rules and writes new ones.

`python -m errorbook.testing --port 8000 --script teacher:reply` serves it as an OpenAI-compatible endpoint. It reads
the prompts as a model would and fills the same forms; it knows tickets and nothing else.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from errorbook.testing import Turn

FENCE = re.compile(r"<([a-z-]+)-([0-9a-f]{16})>\n(.*?)\n</\1-\2>", re.S)
ABOUT = {"billing": "money", "shipping": "the way to the customer", "returns": "goods to go back", "account": "a login"}
SIGNS = {
    "account": "log in|e-mail|profile|password|sign(ed|s)? (in|up)|code with|user name|session|newsletter|birth",
    "billing": "charged|price|invoice|card|receipt|discount|voucher|payment|pay |total|bill |bank",
    "returns": "back|swap|exchange|replace|never ordered|another one|keep it",
}
THINGS = ["toaster", "scarf", "radio", "ladder", "puzzle", "kite", "saucepan", "printer", "helmet", "cushion", "drill"]
PLACES = ["Oslo", "Krakow", "Seville", "Basel", "Dresden", "Nantes", "Galway", "Parma"]
SITUATIONS = {
    "billing": [
        "The price of the {thing} on my statement is {number} euros too high.",
        "A payment for one {thing} was taken two times, {number} euros each.",
        "I should like the bill for the {thing} as a file, in the name of my firm.",
        "My voucher over {number} euros did nothing when I bought the {thing}.",
        "The card was refused for the {thing}, yet {number} euros are gone.",
    ],
    "shipping": [
        "After {number} days there is still no sign of the {thing} in {place}.",
        "Could the courier leave my {thing} with the baker in {place}?",
        "When will a {thing} reach {place} if I order it tonight?",
        "According to the tracking my {thing} has not left {place} for {number} days.",
        "The delivery of the {thing} was tried at noon, when I was not in {place}.",
    ],
    "returns": [
        "The {thing} stopped working after {number} days, how do I give it back?",
        "I should like to swap the {thing} for one in another colour.",
        "The {thing} that came is scratched; please send a new one in its place.",
        "Which label goes on the box if I do not want the {thing}?",
        "I posted the {thing} back {number} days ago, is it with you?",
    ],
    "account": [
        "Since {number} days my password for the shop is refused, in {place} and at home.",
        "Please take my old telephone number, ending in {number}, off my profile.",
        "Who is it that signs in to my profile from {place}?",
        "The app wants a code of {number} digits that nobody sends me.",
        "I spelt my own name wrongly when I signed up in {place}.",
    ],
}


def reply(turns: Sequence[Turn]) -> str:
    """The JSON that the prompt asks for: a diagnosis, new tickets, or a blind answer."""
    asked = next(turn.content for turn in turns if turn.role == "user")
    data = {name: text for name, _, text in reversed(FENCE.findall(asked))}
    if "new practice" in asked:
        count = int(re.findall(r"Write (\d+) new", asked)[0])
        rng = random.Random(asked)  # noqa: S311 - the same prompt always gets the same tickets
        return json.dumps({"drafts": written(data["answer"].strip(), count, rng)})
    if "response" in data:
        return json.dumps(diagnosis(data))
    team = sort(data["question"])
    return json.dumps({"reasoning": f"It is about {ABOUT[team]}.", "answer": team, "sound": True})


def sort(ticket: str) -> str:
    """The team whose words the ticket holds; parcels are the rest."""
    return next((team for team, signs in SIGNS.items() if re.search(signs, ticket)), "shipping")


def diagnosis(data: dict[str, str]) -> dict[str, str | int]:
    """Why the ticket went to the wrong team."""
    team = data["answer"].strip()
    found: dict[str, str | int] = {
        "first_wrong_step": next((line for line in data["response"].splitlines() if line.strip()), ""),
        "misconception": f"It does not see that a ticket about {ABOUT[team]} is for {team}.",
        "error_kind": f"misses {team}",
        "skill": f"telling {team} tickets",
        "difficulty": 2,
    }
    return found | ({"border": f"This one is about {ABOUT[team]}."} if "near-question" in data else {})


def written(team: str, count: int, rng: random.Random) -> list[dict[str, str]]:
    """New tickets: the first for the team that was missed, then for any, so that the border between them shows."""
    teams = [team, *(rng.choice(list(SITUATIONS)) for _ in range(count - 1))]
    return [
        {"question": ticket(each, rng), "solution": f"It is about {ABOUT[each]}.", "answer": each} for each in teams
    ]


def ticket(team: str, rng: random.Random) -> str:
    """One ticket of made-up facts."""
    situation = rng.choice(SITUATIONS[team])
    return situation.format(thing=rng.choice(THINGS), place=rng.choice(PLACES), number=rng.randint(3, 95))
