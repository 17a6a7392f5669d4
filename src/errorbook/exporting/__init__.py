"""What leaves a run: weights in three forms, samples, a card that says what was measured, and the way to the hub."""
