"""Which objects of a stack's planes are one and the same: through time, through depth.

It knows objects, and neither networks nor windows. `classify` calls it, and those who
want volumes of flat objects.
"""
