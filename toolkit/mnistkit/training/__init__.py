"""Recipes, and how they are trained."""
