"""What accepted samples cost, by kind of error: every recorded call is traced to the mistake that it was made for.

A diagnosis' call hangs on the response, a writing call on the diagnosis, a blind answer's on the draft. Money is added
up in whole nano-dollars, so that the parts make up the whole. It only reads, and forecasts nothing: `setup/plan` does.
"""

from __future__ import annotations

from collections import defaultdict

from errorbook.ledger.counts import read_costs, read_diagnosis_origins, read_draft_origins, read_sample_origins
from errorbook.ledger.file import Ledger
from errorbook.records import NANO
from errorbook.report.supply_records import KindCost

_Kind = tuple[str, str]
_NONE: _Kind = ("", "")


def cost_by_kind(ledger: Ledger) -> tuple[KindCost, ...]:
    """Dollars and accepted samples by task and kind of error, the dearest first; empty if nothing was spent.

    What belongs to no diagnosis (one that failed, drafts of the undirected control) has an empty task and kind.
    """
    if not ledger.total_cost():
        return ()
    kinds: dict[str, _Kind] = {}
    parents: dict[str, _Kind] = {}
    for diagnosis, response, task, kind in read_diagnosis_origins(ledger):
        kinds[diagnosis] = parents[response] = (task, kind)
    parents |= kinds | {draft: kinds.get(diagnosis, _NONE) for draft, diagnosis in read_draft_origins(ledger)}
    nano: defaultdict[_Kind, int] = defaultdict(int)
    for parent, usd in read_costs(ledger):
        nano[parents.get(parent, _NONE)] += round(usd * NANO)
    # The total is read last: a run that goes on meanwhile can only have spent more.
    nano[_NONE] = max(0, round(ledger.total_cost() * NANO) - sum(nano[kind] for kind in nano if kind != _NONE))
    samples: defaultdict[_Kind, int] = defaultdict(int)
    for _, diagnosis in read_sample_origins(ledger):
        samples[kinds.get(diagnosis, _NONE)] += 1
    found = (_part(kind, nano[kind], samples[kind]) for kind in {*nano, *samples} if nano[kind] or samples[kind])
    return tuple(sorted(found, key=lambda item: (-item.usd, item.task, item.kind)))


def _part(kind: _Kind, nano: int, samples: int) -> KindCost:
    usd = nano / NANO
    return KindCost(task=kind[0], kind=kind[1], usd=usd, samples=samples, each=usd / samples if samples else None)
