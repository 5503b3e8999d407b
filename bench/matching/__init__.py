"""A grid of layouts, and of what may be wrong with the numbers in them; for the case `axis_matching`."""
