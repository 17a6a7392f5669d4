"""Plugins: one adapter a file, one folder a kind. Each is found by its entry point, never imported by name."""
