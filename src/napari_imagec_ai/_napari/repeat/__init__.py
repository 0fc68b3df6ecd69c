"""The section that repeats: recipes, scripts and batches."""
