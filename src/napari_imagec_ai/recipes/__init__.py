"""Every setting of a run as a file, as Python and as flags, and who repeats it.

It makes nothing itself: it calls running, decoding and writing in their order. The
command line and the widget are its callers.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    recipe="Recipe",
    session="Session",
    runner="Runner",
    **{"batch.run_batch": "Batch run_batch"},
)
