"""Trainers: one way of changing weights per file, and a scripted fake."""
