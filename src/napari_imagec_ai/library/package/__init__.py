"""Makes a model folder of bare weights: description, example, test tensors.

It asks the network for its shapes and a person for the rest. `convert`, `package` and
the widget call it.
"""
