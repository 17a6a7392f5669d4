"""Runs model-written programs against tests where they can do no harm and cannot learn or forge the verdict."""
