"""Recipes and training."""
