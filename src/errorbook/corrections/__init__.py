"""What people change in a run: taken in, checked, applied. The original is always kept."""
