"""The retriever that fits the target: its own hidden states if it shows them, else the words of the questions."""

from __future__ import annotations

from errorbook.adapters.retrievers.hidden import Hidden
from errorbook.adapters.retrievers.tfidf import Tfidf
from errorbook.interfaces import Applies, Retriever, Target


def auto(target: Target) -> Retriever:
    """Words for a target that is served elsewhere, which seldom gives vectors away; hidden states for all others."""
    return Tfidf() if isinstance(target, Applies) else Hidden(target)
