"""Retrievers: one way of finding near questions per file, and a scripted fake."""
