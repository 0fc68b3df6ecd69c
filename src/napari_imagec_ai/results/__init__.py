"""What comes out, as values that one holds and saves, and which objects count.

Predictions, objects, images and scores: it knows neither how a prediction is made nor
how it is decoded. Running and decoding meet here, and export, recipes and the widget
take from here.
"""

from napari_imagec_ai.system.faces import face

__getattr__ = face(
    __name__,
    prediction="Prediction",
    objects="Objects",
    images="Images",
    scores="Scores",
    classes="ClassMap ClassRule Filter classify",
    **{"correction.read_back": "read_labels read_outlines"},
)
