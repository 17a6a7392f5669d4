"""Numbers about runs as records, for whoever renders them. Nothing here writes a sentence for people."""
