"""The book in a browser: a local server that reads ledgers and shows them. It never writes to one itself."""
