"""The book in a browser: a local server that shows the runs below a folder, and takes corrections.

It never writes to a ledger, with one exception: a person's correction, which `corrections` records, or leaves in the
run's folder for the run that is writing at that moment. Its only other file is the index of a run (see `catalogue`),
which lies in the user's cache folder and can be deleted at any time.
"""
