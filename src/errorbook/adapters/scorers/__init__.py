"""Scorers: one way of judging a response per file."""
