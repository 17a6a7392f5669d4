"""What verification composes: pure functions that look at texts, numbers and questions. They decide nothing."""
