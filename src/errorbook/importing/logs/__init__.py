"""Readers of the logs that other programs wrote: one format a file, one `Logged` record a response."""
