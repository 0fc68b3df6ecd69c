"""Follows objects by how far they move: linear assignment, by the package laptrack.

K. Jaqaman et al., "Robust single-particle tracking in live-cell time-lapse sequences",
Nature Methods 2008.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.linking.overlaps import Links, Rows


def linked_by_distance(
    centres: NDArray[np.float64],
    planes: list[Rows],
    farthest: float,
    most_missed: int,
    divisions: bool,
) -> Links:
    """Find which objects of following planes are one.

    Parameters
    ----------
    centres : (N, D) float
        Of all objects, in pixels of equal sides.
    planes : list of (N,) int
        Rows of each plane, in order.
    farthest : float
        What an object moves at most from one plane to the next.
    most_missed : int
        Planes in which an object may be missing.
    divisions : bool
        Whether an object may have two successors.

    Raises
    ------
    DecodeError
        If laptrack is not installed.
    """
    if find_spec("laptrack") is None:
        raise DecodeError(
            "Following objects by distance takes the package laptrack, which is not "
            "installed; add it with: pip install 'napari-imagec-ai[tracks]', or follow "
            "them by their overlap."
        )
    from laptrack import LapTrack

    most = farthest**2  # laptrack's costs are squared distances
    tracker = LapTrack(
        cutoff=most,
        # What moves at random comes as much farther as the root of the time.
        gap_closing_cutoff=most * (most_missed + 1) if most_missed else False,
        gap_closing_max_frame_count=most_missed + 1,  # counts steps, not what is missed
        splitting_cutoff=most if divisions else False,
        merging_cutoff=False,
    )
    if sum(len(rows) > 0 for rows in planes) < 2:
        return []
    tree = tracker.predict([centres[rows] for rows in planes])
    return [
        (int(planes[p][i]), int(planes[q][j])) for (p, i), (q, j) in sorted(tree.edges)
    ]
