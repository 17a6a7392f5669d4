"""A copy of one ledger to search, filter and page in: made from it, kept apart from it, and made anew at any time."""
