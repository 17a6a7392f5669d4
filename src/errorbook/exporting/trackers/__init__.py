"""Where a run's metrics may be sent besides its ledger: one module for each kind, and what feeds them."""
