"""Folders of models: where they are, watched, opened, and zips that go into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QFileSystemWatcher, QObject, QTimer, QUrl
from qtpy.QtGui import QDesktopServices

from napari_imagec_ai._napari import preferences
from napari_imagec_ai.library.folders import default_folders

_REST = 400
"""Milliseconds without a change until a folder is looked at: copying takes a while."""


def search_folders() -> list[Path]:
    """Folders that are searched for models, those that exist."""
    extra = preferences.models_folder()
    folders = [*([extra] if extra is not None else []), *default_folders()]
    return [folder for folder in folders if folder.is_dir()]


def open_folder() -> None:
    """Show the first folder of models in the system's file manager."""
    folder = next(iter(search_folders()), Path.cwd())
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


class FolderWatch(QObject):  # type: ignore[misc]
    """Tells when models come or go.

    Parameters
    ----------
    parent : QObject
        What it lives with.
    changed : callable
        Called when a folder changed and is at rest again.
    """

    def __init__(self, parent: QObject, changed: Callable[[], None]) -> None:
        super().__init__(parent)
        self._files = QFileSystemWatcher(self)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(changed)
        self._files.directoryChanged.connect(lambda _: self._rest.start())

    def watch(self) -> None:
        """Watch the folders of models, and the model folders in them, as they are."""
        folders = search_folders()
        missing = [f.parent for f in default_folders() if not f.is_dir()]
        inside = [path for folder in folders for path in folder.iterdir()]
        wanted = {
            str(path)
            for path in (*folders, *inside, *missing)
            if path.is_dir() and not path.name.startswith(".")
        }
        known = set(self._files.directories())
        if known - wanted:
            self._files.removePaths(sorted(known - wanted))
        if wanted - known:
            self._files.addPaths(sorted(wanted - known))


class Drop(QObject):  # type: ignore[misc]
    """Takes model packages, and bare weights, that are dropped on a widget.

    Parameters
    ----------
    parent : QWidget
        What they are dropped on.
    dropped : callable
        Called with the file.
    wanted : callable
        Whether a file or folder is one of them.
    """

    def __init__(
        self,
        parent: Any,
        dropped: Callable[[Path], None],
        wanted: Callable[[Path], bool],
    ) -> None:
        super().__init__(parent)
        self._dropped, self._wanted = dropped, wanted
        parent.setAcceptDrops(True)
        parent.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take zips and weights; leave everything else to napari."""
        if event is None:
            return False
        kinds = (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop)
        if event.type() not in kinds or not event.mimeData().hasUrls():
            return False
        files = [Path(url.toLocalFile()) for url in event.mimeData().urls()]
        ours = [file for file in files if self._wanted(file)]
        if not ours:
            return False
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self._dropped(ours[0])
        return True
