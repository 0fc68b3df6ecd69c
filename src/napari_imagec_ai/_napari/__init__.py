"""The room of napari and Qt: nobody else imports them.

It shows and asks; what it shows is computed in the rooms below.
"""
