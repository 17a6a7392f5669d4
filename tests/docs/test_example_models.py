"""Examples name one instructor model, which is current: this is the one place to change when it is withdrawn."""

from __future__ import annotations

import re

from places import EXAMPLES, ROOT

MODEL, PRICES = "gpt-6.1-terra", ("1.0", "5.0")
"""The model and its dollars per million tokens in and out, by genai-prices 0.2.3 (October 2026)."""
WITHDRAWN = re.compile(r"gpt-4\.1|gpt-4o")
"""What a provider takes away: gpt-4.1 in January 2027."""
NAMED = re.compile(r'^\s*model = "((?:gpt|o\d)-[^"]+)"', re.M)
PRICED = re.compile(rf'model = "{MODEL}"(?:.*\n){{1,5}}?\s*price_input = (\S+).*\n\s*price_output = (\S+)')


def test_every_example_names_the_current_model_with_its_prices() -> None:
    files = [*EXAMPLES.rglob("*.toml"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    files += (ROOT / "src").rglob("*.py")
    seen = 0
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert set(NAMED.findall(text)) <= {MODEL}, path
        assert not WITHDRAWN.search(text), path
        priced = PRICED.findall(text)
        assert set(priced) <= {PRICES}, path
        seen += len(priced)
    assert seen >= 10
