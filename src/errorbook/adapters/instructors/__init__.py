"""Instructors: one per file, and a scripted fake."""
