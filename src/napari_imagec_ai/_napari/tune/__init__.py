"""The section that tunes: thresholds, classes, filters, and what was assumed."""
