"""From a run file to a run that can start: plugins made, examples chosen, the ledger opened."""
