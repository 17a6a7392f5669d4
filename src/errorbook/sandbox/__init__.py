"""Runs model-written programs against tests. They can do no harm there, and neither learn nor forge the verdict."""
