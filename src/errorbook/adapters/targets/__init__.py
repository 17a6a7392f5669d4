"""Targets: one generation engine per file, and a scripted fake."""
