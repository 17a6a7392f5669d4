"""One SQLite file a run. Read `file` first: it has the records; the other modules ask what only people want to know."""
