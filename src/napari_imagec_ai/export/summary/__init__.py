"""Tables and one contact sheet over all images of a batch.

It reads the lines that a batch gives it, and no results. Batches call it at their end.
"""
