"""Objects that a person corrected by hand, read back from labels or outlines.

It knows what was there before, and keeps the ids of what stayed. The widget and scripts
call it.
"""
