"""Results as files, a writer for each format.

It decides nothing about objects: what it is given, it writes, whole or not at all.
Recipes, the widget and scripts call `write` and `write_all`.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    writing="FORMATS write write_all",
)
