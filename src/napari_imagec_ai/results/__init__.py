"""What comes out, as values that one holds and saves, and which objects count.

Predictions, objects, images and scores: it knows neither how a prediction is made nor
how it is decoded. Running and decoding meet here, and export, recipes and the widget
take from here.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    prediction="Prediction",
    objects="Objects",
    images="Images",
    scores="Scores",
    filters="Filter",
    class_map="ClassMap ClassRule",
    classifying="classify",
    **{"linking.assign_tracks": "link"},
    **{"linking.link_settings": "Linking"},
    **{"correction.read_back": "read_labels read_outlines"},
)
