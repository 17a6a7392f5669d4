"""Step 3 of a cycle as a whole: what each strategy has written, and what becomes of it. Nothing is trained here."""
