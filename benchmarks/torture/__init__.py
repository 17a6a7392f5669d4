"""Everything that was ever found to break the product, tried again: `python -m benchmarks.torture`."""
