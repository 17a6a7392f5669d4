"""Arms x seeds at equal budget: what is compared, how it is run, and what is said of it."""
