"""A run's numbers recomputed from the raw rows of its ledger, in plain Python and without the report's own code.

Verdicts come from the recorded texts, intervals from textbook formulas or from a numerical search, p-values from SciPy.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, norm

Row = dict[str, Any]
Verdicts = dict[str, str]
SPLITS = ("train", "dev", "test")
Z = 1.959963984540054


class Raw:
    """The raw rows of a run, and the few facts that everything else is counted from."""

    def __init__(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "ledger.sqlite")) as sql:
            names = ("kind", "key", "hash", "parent", "cycle")
            rows = sql.execute("SELECT kind, key, hash, parent, cycle, body FROM records ORDER BY seq").fetchall()
            self.rows: list[Row] = [
                {**dict(zip(names, row[:5], strict=True)), **{"body": json.loads(row[5])}} for row in rows
            ]
            bodies = [json.loads(row[0]) for row in sql.execute("SELECT body FROM bodies")]
            self.seconds = sql.execute("SELECT stage, seconds FROM events ORDER BY seq").fetchall()
            config = sql.execute("SELECT value FROM facts WHERE name = 'config'").fetchone()[0]
            paid = sql.execute("SELECT name, value FROM facts WHERE name LIKE 'paid %'").fetchall()
            caps = sql.execute("SELECT name, value FROM facts WHERE name LIKE 'budget %'").fetchall()
        self.config = json.loads(config)
        self.config["tasks"] = [{"role": "learn", "margin": 0.05, **task} for task in self.config["tasks"]]
        newest = max(((int(name.split()[1]), value) for name, value in caps), default=(0, ""))[1]
        self.budget = float(newest) if newest else None
        self.paid = max((float(value) for _, value in paid), default=0.0)
        evaluations = {row["hash"]: row["body"] for row in self.of("Evaluation")}
        self.responses: dict[tuple[str, str, str], dict[str, Row]] = defaultdict(dict)
        for body in bodies:
            checkpoint = evaluations[body["evaluation"]]["checkpoint"]
            self.responses[checkpoint, body["task"], body["split"]][body["example"]] = body
        self.base = next(row["hash"] for row in self.of("Checkpoint") if row["key"] == "base")
        self.decisions = sorted((row["body"] for row in self.of("Decision")), key=lambda body: body["cycle"])
        self.final = self.decisions[-1]["checkpoint"]
        self.accepted = [body["cycle"] for body in self.decisions if body["outcome"] == "accept"]
        self.chain = [self.base, *(d["checkpoint"] for d in self.decisions if d["outcome"] == "accept")]

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row["kind"] == kind]

    def verdicts(self, checkpoint: str, task: str, split: str) -> Verdicts:
        return {id: body["score"]["verdict"] for id, body in self.responses[checkpoint, task, split].items()}

    def asked(self) -> Iterator[tuple[Row, str]]:
        for task in self.config["tasks"]:
            yield from ((task, split) for split in SPLITS if task[split])


def shared(raw: Raw) -> int:
    """Dev questions that more than one learnt task has, by their words, which is enough for these runs."""
    learnt = {task["name"] for task in raw.config["tasks"] if task["role"] == "learn"}
    asked = {(e["task"], e["question"]) for e in (row["body"] for row in raw.of("Example")) if e["split"] == "dev"}
    return sum(n - 1 for n in Counter(question for task, question in asked if task in learnt).values())


def accuracy(responses: Iterable[Row]) -> Row:
    found = list(responses)
    verdicts = Counter(body["score"]["verdict"] for body in found)
    n, right = len(found), verdicts["right"]
    share, scale = right / n, 1 + Z * Z / n
    middle, half = (
        (share + Z * Z / (2 * n)) / scale,
        Z * math.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2) / scale,
    )
    return {
        "right": right,
        "n": n,
        "planned": n,
        "accuracy": share,
        "low": middle - half,
        "high": middle + half,
        "unscorable": verdicts["unscorable"],
        "truncated": sum(body["truncated"] for body in found),
    }


def score(fixed: int, broken: int, n: int, delta: float) -> float:
    """The score statistic against a difference of delta; its nuisance share is found by searching the likelihood."""

    def unlikely(share: float) -> float:
        same = n - fixed - broken
        terms = ((fixed, share + delta), (broken, share), (same, 1 - 2 * share - delta))
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in terms if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    share = float(minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
    spread = n * (2 * share + delta * (1 - delta))
    return (fixed - broken - n * delta) / math.sqrt(max(spread, 1e-300))


def difference(fixed: int, broken: int, n: int) -> Row:
    value = (fixed - broken) / n
    low = brentq(lambda delta: score(fixed, broken, n, delta) - Z, -1 + 1e-9, value - 1e-9) if broken < n else -1.0
    high = brentq(lambda delta: score(fixed, broken, n, delta) + Z, value + 1e-9, 1 - 1e-9) if fixed < n else 1.0
    return {"value": value, "low": low, "high": high}


def mcnemar(fixed: int, broken: int) -> float:
    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def changes(before: Verdicts, after: Verdicts) -> tuple[list[str], list[str]]:
    fixed = sorted(id for id in before if before[id] != "right" and after[id] == "right")
    return fixed, sorted(id for id in before if before[id] == "right" and after[id] != "right")


def form(before: Verdicts, after: Verdicts) -> Row | None:
    """What became readable or unreadable, and the one-sided exact test of the rest."""
    fixed, broken = changes(before, after)
    newly = [id for id in fixed if before[id] == "unscorable"]
    gone = [id for id in broken if after[id] == "unscorable"]
    if not newly and not gone:
        return None
    better, worse = len(fixed) - len(newly), len(broken) - len(gone)
    changed = better + worse
    return {
        "newly_readable": len(newly),
        "no_longer_readable": len(gone),
        "difference": (better - worse) / len(before),
        "p_value": float(binomtest(better, changed, alternative="greater").pvalue) if changed else 1.0,
    }


def otherwise(raw: Raw, task: str, split: str) -> int:
    """The base's missed answers that hold the gold answer (unreadable ones) or end with it (the others)."""
    golds = {e["id"]: e for e in (row["body"] for row in raw.of("Example")) if (e["task"], e["split"]) == (task, split)}
    count = 0
    for id, body in raw.responses[raw.base, task, split].items():
        verdict = body["score"]["verdict"]
        if verdict == "right":
            continue
        said = " ".join(re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[+\-*/=%]", body["text"].lower())).replace(",", "")
        for gold in (golds[id]["answer"], *golds[id].get("accepted", ())):
            wanted = " ".join(re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[+\-*/=%]", gold.lower())).replace(",", "")
            long = len(wanted) > 1 or wanted.isdigit()
            if long and (f" {said}".endswith(f" {wanted}") if verdict == "wrong" else f" {wanted} " in f" {said} "):
                count += 1
                break
    return count


def fate(path: Sequence[str]) -> str:
    if len(path) == 1:
        return "waiting"
    if path[0] == "right":
        return "still_right" if path[-1] == "right" else "broken"
    return "fixed" if path[-1] == "right" else "relapsed" if "right" in path else "stubborn"


def results(raw: Raw) -> Row:
    found: Row = {task["name"]: {} for task in raw.config["tasks"]}
    for task, split in raw.asked():
        name, guard = task["name"], task["role"] == "guard"
        before, after = (raw.verdicts(point, name, split) for point in (raw.base, raw.final))
        fixed, broken = map(len, changes(before, after))
        worse = 1 - float(norm.cdf(score(fixed, broken, len(before), -task["margin"]))) if guard else None
        found[name][split] = {
            "role": task["role"],
            "base": accuracy(raw.responses[raw.base, name, split].values()),
            "final": accuracy(raw.responses[raw.final, name, split].values()),
            "difference": difference(fixed, broken, len(before)),
            "p_value": mcnemar(fixed, broken),
            "fixed": fixed,
            "broken": broken,
            "margin": task["margin"] if guard else None,
            "worse_p": worse,
            "groups": len(before),
            "form": form(before, after),
            "otherwise": otherwise(raw, name, split),
        }
    return found


def lines(raw: Raw) -> list[Row]:
    found = []
    points = [row for row in raw.of("Checkpoint") if row["key"] == "base" or row["key"].startswith("candidate:")]
    for task, split in raw.asked():
        shown = []
        for row in points:
            responses = raw.responses[row["hash"], task["name"], split]
            if responses:
                before, after = (raw.verdicts(point, task["name"], split) for point in (raw.base, row["hash"]))
                fixed, broken = map(len, changes(before, after))
                shown.append(
                    {
                        "cycle": row["cycle"],
                        "checkpoint": row["hash"],
                        "scale": row["body"].get("scale", 1.0),
                        "kept": row["hash"] in raw.chain,
                        "accuracy": accuracy(responses.values()),
                        "difference": None if row["key"] == "base" else difference(fixed, broken, len(before)),
                        "fixed": fixed,
                        "broken": broken,
                        "p_value": None if row["key"] == "base" else mcnemar(fixed, broken),
                        "form": None if row["key"] == "base" else form(before, after),
                    }
                )
        found.append({"task": task["name"], "role": task["role"], "split": split, "points": shown})
    return found


def fates(raw: Raw) -> list[Row]:
    found = []
    for task, split in raw.asked():
        asked = [raw.verdicts(point, task["name"], split) for point in raw.chain]
        asked = [verdicts for verdicts in asked if verdicts]
        paths = [[verdicts[id] for verdicts in asked] for id in asked[0]]
        names = ("fixed", "relapsed", "stubborn", "broken", "still_right", "waiting")
        bands = [
            {
                "fate": name,
                "n": sum(fate(path) == name for path in paths),
                "unscorable": sum(fate(path) == name and path[-1] == "unscorable" for path in paths),
            }
            for name in names
        ]
        head = {"task": task["name"], "role": task["role"], "split": split, "n": len(paths), "checkpoints": len(asked)}
        found.append({**head, "bands": bands})
    return found


def kinds_of(raw: Raw) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in raw.of("Diagnosis"):
        if row["cycle"] == 1:
            found[row["body"]["task"], row["body"]["error_kind"]].append(row["body"])
    return found


def kind_of_draft(raw: Raw) -> dict[str, tuple[str, str]]:
    diagnoses = {row["hash"]: (row["body"]["task"], row["body"]["error_kind"]) for row in raw.of("Diagnosis")}
    return {row["hash"]: diagnoses[row["body"]["diagnosis"]] for row in raw.of("Draft")}


def dollars(raw: Raw) -> Counter[tuple[str, str]]:
    """What each kind's calls cost: diagnosing its responses, writing against its diagnoses, checking its drafts."""
    about: dict[str, tuple[str, str]] = dict(kind_of_draft(raw))
    for row in raw.of("Diagnosis"):
        about[row["hash"]] = about[row["body"]["response"]] = (row["body"]["task"], row["body"]["error_kind"])
    found: Counter[tuple[str, str]] = Counter()
    for row in raw.of("Call"):
        found[about.get(row["parent"], ("", ""))] += row["body"].get("cost_usd", 0.0)
    return found


def versus(pairs: list[tuple[bool, bool]]) -> Row:
    here, there = pairs.count((True, False)), pairs.count((False, True))
    return {
        "n": len(pairs),
        "fixed": here + pairs.count((True, True)),
        "control_fixed": there + pairs.count((True, True)),
        "difference": difference(here, there, len(pairs)),
        "p_value": mcnemar(here, there),
    }


def pairs_of(raw: Raw, control: Raw, examples: Iterable[str]) -> list[tuple[bool, bool]]:
    here, there = raw.verdicts(raw.final, "sums", "train"), control.verdicts(control.final, "sums", "train")
    made = control.verdicts(control.base, "sums", "train")
    return [(here[id] == "right", there[id] == "right") for id in examples if made[id] != "right"]


def error_kinds(raw: Raw, control: Raw | None) -> list[Row]:
    trained = {int(row["key"].removeprefix("training:")) for row in raw.of("Training")}
    drafts, spent, found = kind_of_draft(raw), dollars(raw), []
    samples = [(row["cycle"], drafts[row["body"]["draft"]]) for row in raw.of("Sample")]
    skills = {row["body"]["id"]: row["body"].get("skill", "") for row in raw.of("Example")}
    for (task, kind), diagnoses in kinds_of(raw).items():
        before, after = (raw.verdicts(point, task, "train") for point in (raw.base, raw.final))
        mistakes = [body["example"] for body in diagnoses]
        named = {skills[id] for id in mistakes}
        right = [id for id in before if before[id] == "right" and skills[id] in named]
        found.append(
            {
                "task": task,
                "kind": kind,
                "n": len(mistakes),
                "fixed": sum(after[id] == "right" for id in mistakes),
                "unscorable": sum(after[id] == "unscorable" for id in mistakes),
                "trained": sum(cycle in trained for cycle, other in samples if other == (task, kind)),
                "kept": sum(cycle in raw.accepted for cycle, other in samples if other == (task, kind)),
                "skills": sorted(named),
                "right_before": len(right),
                "broken": sum(after[id] != "right" for id in right),
                "usd": spent[task, kind],
                "control": versus(pairs_of(raw, control, mistakes)) if control else None,
            }
        )
    return sorted(found, key=lambda item: (-item["n"], item["task"], item["kind"]))


def strategies(raw: Raw) -> list[Row]:
    """The synthetic run has one strategy, whose drafts all go back to a diagnosis."""
    [name] = {row["body"]["strategy"] for row in raw.of("Diagnosis")}
    trained = {int(row["key"].removeprefix("training:")) for row in raw.of("Training")}
    diagnoses = {row["hash"]: row["body"] for row in raw.of("Diagnosis")}
    written = [diagnoses[row["body"]["diagnosis"]] for row in raw.of("Draft")]
    mistakes = {(body["task"], body["example"]) for body in written}
    samples = [row["cycle"] for row in raw.of("Sample")]
    after = {task: raw.verdicts(raw.final, task, "train") for task, _ in mistakes}
    return [
        {
            "strategy": name,
            "about": "new questions against each wrong response",
            "drafts": len(written),
            "samples": len(samples),
            "trained": sum(cycle in trained for cycle in samples),
            "kept": sum(cycle in raw.accepted and cycle in trained for cycle in samples),
            "mistakes": len(mistakes),
            "fixed": sum(after[task][example] == "right" for task, example in mistakes),
        }
    ]


def funnel(raw: Raw) -> Row:
    trained = {int(row["key"].removeprefix("training:")): row["body"] for row in raw.of("Training")}
    starts = [raw.base, *(decision["checkpoint"] for decision in raw.decisions)]
    cycles = []
    for cycle in range(1, len(raw.decisions) + 1):
        drafts, samples = (sum(row["cycle"] == cycle for row in raw.of(kind)) for kind in ("Draft", "Sample"))
        reasons = Counter(row["body"]["reason"] for row in raw.of("Rejection") if row["cycle"] == cycle)
        cycles.append(
            {
                "cycle": cycle,
                "mistakes": list(raw.verdicts(starts[cycle - 1], "sums", "train").values()).count("wrong"),
                "drafts": drafts,
                "samples": samples,
                "rejected": dict(reasons),
                "waiting": drafts - samples - reasons.total(),
                "trained": samples,
                "untrained": 0,
                "too_long": trained[cycle]["truncated"],
            }
        )
    whole = {name: sum(item[name] for item in cycles) for name in ("drafts", "samples", "waiting", "trained")}
    return {
        **whole,
        "diagnosed": len(raw.of("Diagnosis")),
        "failed": dict(Counter(row["body"]["stage"] for row in raw.of("Failure"))),
        "rejected": dict(Counter(row["body"]["reason"] for row in raw.of("Rejection"))),
        "untrained": 0,
        "kept": sum(item["trained"] for item in cycles if item["cycle"] in raw.accepted),
        "cycles": cycles,
    }


def compared(decision: Row) -> list[Row]:
    """A decision's comparisons; a ledger leaves out what equals its default."""
    defaults: Row = {"unscorable_before": 0, "unscorable_after": 0, "margin": 0.0, "passed": False}
    defaults |= {"newly_readable": 0, "no_longer_readable": 0, "clusters": []}
    return [{**defaults, **one} for one in decision["comparisons"]]


def spending(raw: Raw) -> Row:
    calls = [row["body"] for row in raw.of("Call")]
    drafts, by_kind = kind_of_draft(raw), []
    samples = Counter(drafts[row["body"]["draft"]] for row in raw.of("Sample"))
    for (task, kind), usd in dollars(raw).items():
        n = samples[task, kind]
        by_kind.append({"task": task, "kind": kind, "usd": usd, "samples": n, "each": usd / n if n else None})
    usd = sum(call.get("cost_usd", 0) for call in calls)
    return {
        "calls": len(calls),
        "input_tokens": sum(call.get("input_tokens", 0) for call in calls),
        "output_tokens": sum(call.get("output_tokens", 0) for call in calls),
        "usd": usd,
        "usd_per_sample": usd / samples.total(),
        "by_kind": sorted(by_kind, key=lambda item: (-item["usd"], item["task"], item["kind"])),
        "budget_usd": raw.budget,
        "assumed_usd": sum(call.get("assumed_usd", 0) for call in calls),
        "host_usd": raw.paid,
    }


def skill_results(raw: Raw) -> list[Row]:
    skills = {row["body"]["id"]: row["body"].get("skill", "") for row in raw.of("Example")}
    found = []
    before, after = (raw.responses[point, "sums", "test"] for point in (raw.base, raw.final))
    for skill in sorted({skills[id] for id in before}):
        ids = [id for id in before if skills[id] == skill]
        sides = [{id: side[id]["score"]["verdict"] for id in ids} for side in (before, after)]
        fixed, broken = map(len, changes(sides[0], sides[1]))
        shares = {name: accuracy(side[id] for id in ids) for name, side in (("base", before), ("final", after))}
        found.append({"task": "sums", "split": "test", "skill": skill, **shares, "fixed": fixed, "broken": broken})
    return found


def expected(folder: Path, control: Path | None) -> Row:
    """All of a report's JSON that is a number, and the names that the numbers stand under."""
    raw, other = Raw(folder), Raw(control) if control else None
    before, after = (raw.verdicts(point, "sums", "train") for point in (raw.base, raw.final))
    fixed, broken = changes(before, after)
    rule = raw.of("Rule")[0]["body"]
    stages: Counter[str] = Counter()
    for stage, seconds in raw.seconds:
        stages[stage] += seconds
    mistakes = [body["example"] for bodies in kinds_of(raw).values() for body in bodies]
    again = {
        "task": "sums",
        "n": len(before),
        "right_before": list(before.values()).count("right"),
        "right_after": list(after.values()).count("right"),
        "fixed": fixed,
        "broken": broken,
    }
    names = ("cycle", "lessons", "replayed", "steps", "tokens", "too_long", "trainable_parameters", "losses")
    trainings = [
        {**row["body"], "cycle": row["cycle"], "too_long": row["body"]["truncated"]} for row in raw.of("Training")
    ]
    return {
        "seconds": sum(stages.values()),
        "stage_seconds": dict(stages),
        "spending": spending(raw),
        "alpha": rule["alpha"],
        "alpha_each": rule["alpha"] / rule["tests"],
        "tasks": results(raw),
        "skills": skill_results(raw),
        "error_kinds": error_kinds(raw, other),
        "relearnt": [again],
        "funnel": funnel(raw),
        "strategies": strategies(raw),
        "trainings": [{name: training[name] for name in names} for training in trainings],
        "noise": [row["body"] for row in raw.of("Noise")],
        "by_cycle": lines(raw),
        "fates": fates(raw),
        "shared": shared(raw),
        "corrections": dict(Counter(row["body"]["kind"] for row in raw.of("Correction"))),
        "whole": versus(pairs_of(raw, other, mistakes)) if other else None,
        "cycles": [
            {"cycle": d["cycle"], "decision": d["outcome"], "reason": d["reason"], "comparisons": compared(d)}
            for d in raw.decisions
        ],
    }
