"""Where the package meets napari; nothing else imports napari or Qt."""
