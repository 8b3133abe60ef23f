"""Verifies that exported models match the original model's accuracy."""
