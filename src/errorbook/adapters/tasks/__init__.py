"""Tasks: one source of examples per file."""
