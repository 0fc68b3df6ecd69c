"""The list of formats: what objects can be written as, in the order that people see."""

from __future__ import annotations

from napari_imagec_ai.export.coco import write_coco
from napari_imagec_ai.export.format import (
    Format,
    needs_one_plane,
    needs_pixels,
    needs_planes,
)
from napari_imagec_ai.export.labels import (
    imagej_lacks,
    write_imagej,
    write_labels,
    write_ome,
)
from napari_imagec_ai.export.omezarr import write_ome_zarr
from napari_imagec_ai.export.overlay import write_overlay
from napari_imagec_ai.export.qupath import write_geojson
from napari_imagec_ai.export.report import write_report
from napari_imagec_ai.export.rois import write_rois
from napari_imagec_ai.export.sizes import lost_in_imagej, lost_in_ome
from napari_imagec_ai.export.tables import write_csv, write_parquet
from napari_imagec_ai.export.tracks import (
    needs_tracked_pixels,
    needs_tracks,
    write_track_labels,
    write_tracks,
)
from napari_imagec_ai.export.yolo import CLASSES_FILE, write_yolo

FORMATS: tuple[Format, ...] = (
    Format(
        "labels",
        "Labels (TIFF, int32)",
        ".labels.tif",
        write_labels,
        (".tif", ".tiff"),
        needs_pixels,
        loses=lost_in_imagej,
    ),
    Format("csv", "Table (CSV)", ".objects.csv", write_csv, (".csv",)),
    Format(
        "geojson",
        "Outlines (GeoJSON for QuPath)",
        ".geojson",
        write_geojson,
        lacks=needs_planes,
    ),
    Format("rois", "ImageJ ROI set", ".rois.zip", write_rois, (".zip",)),
    Format(
        "ometiff",
        "Labels (OME-TIFF)",
        ".ome.tif",
        write_ome,
        (".ome.tiff",),
        needs_pixels,
        loses=lost_in_ome,
    ),
    Format(
        "imagej",
        "Labels (ImageJ hyperstack)",
        ".imagej.tif",
        write_imagej,
        lacks=imagej_lacks,
        loses=lost_in_imagej,
    ),
    Format(
        "omezarr",
        "Image and labels (OME-Zarr)",
        ".ome.zarr",
        write_ome_zarr,
        (".zarr",),
        needs_pixels,
        folder=True,
        loses=lost_in_ome,
    ),
    Format(
        "parquet", "Table (Parquet)", ".objects.parquet", write_parquet, (".parquet",)
    ),
    Format("coco", "COCO annotations", ".coco.json", write_coco, lacks=needs_planes),
    Format(
        "yolo",
        "YOLO labels",
        ".txt",
        write_yolo,
        (),
        needs_one_plane,
        also=CLASSES_FILE,
    ),
    Format("overlay", "Overlay (PNG)", ".overlay.png", write_overlay, (".png",)),
    Format(
        "tracks",
        "Tracks (CSV, one row each)",
        ".tracks.csv",
        write_tracks,
        lacks=needs_tracks,
    ),
    Format(
        "tracklabels",
        "Labels by track (TIFF, int32)",
        ".tracks.tif",
        write_track_labels,
        lacks=needs_tracked_pixels,
        loses=lost_in_imagej,
    ),
    Format("report", "Report (HTML)", ".report.html", write_report, (".html", ".htm")),
)
"""Every format that objects can be written in."""

EXPORTS = {each.word: each.suffix for each in FORMATS}
"""What follows the image's name in the files of a run, by the word that asks for it."""
