"""Where the tests find the project's own files."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
KITS = TESTS / "kits"
EXAMPLES = ROOT / "examples"
