"""Logs and files of samples that other programs wrote, read into records."""
