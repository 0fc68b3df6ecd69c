"""Objects of StarDist: star-shaped outlines at each pixel, the best of them kept.

It knows rays, grids and how shapes overlap. The registry names its decoder.
"""
