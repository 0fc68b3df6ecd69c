"""Image and model in, prediction out: feeding, tiles, the network, stitching.

It does not know what the output means: no threshold is applied here. Recipes call
`predict`; every setting of a run is a field of `RunSettings`.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    predicting="predict predict_iter",
    settings="RunSettings",
)
