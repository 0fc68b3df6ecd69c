"""The image section: which layer, channels, planes and region are run."""
