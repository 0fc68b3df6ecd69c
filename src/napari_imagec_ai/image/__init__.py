"""Pixels with axes and a pixel size, a region of them, and the files that hold them.

It does not know what a network is. Everybody who opens an image comes here first; the
rooms above read from it, part by part, and never open a file themselves.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    image_input="Frame ImageInput",
    region="Region",
    opening_files="open_image",
)
