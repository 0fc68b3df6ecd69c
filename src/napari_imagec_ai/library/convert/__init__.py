"""Foreign models made into model folders that run without any code of their own.

Knows the files that StarDist, Cellpose, PyTorch, Keras and the zoo write, and the
networks behind them; knows nothing of images that a person has open. `library` and
the command line call it.
"""
