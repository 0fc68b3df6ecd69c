"""What a description says of a network, and what was learned of it before.

It knows tensors, kinds, steps and weights, reads rdf.yaml, and opens no weights.
Whoever feeds, runs or decodes a network asks here what the network is.
"""

from napari_imagec_ai.system.lazy_names import face

__getattr__ = face(
    __name__,
    description="Model TensorSpec",
    rdf="parse_rdf read_rdf",
)
