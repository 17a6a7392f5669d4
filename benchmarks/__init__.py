"""Measurements that README and docs quote: each is a command that anyone can run again."""
