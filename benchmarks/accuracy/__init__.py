"""How well a model finds what people found, on a folder of images with truth."""
