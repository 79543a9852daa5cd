"""The kind of a file by its ending, or by its first bytes where the ending is ambiguous."""

import os
from pathlib import Path
from typing import Literal

FileKind = Literal["image", "unreadable", "other"]

IMAGE_ENDINGS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"),
    *(".avif", ".tga", ".pcx"),
}
HEIC_HINT = "a HEIC photograph, which is not read: convert it to JPEG or PNG"
DICOM_HINT = "a DICOM file, which is not read: export it as 8 or 16 bit PNG"
RAW_HINT = "a raw photograph, which is not read: develop it to JPEG or TIFF"
OTHER_HINT = "an image format that is not read: convert it to PNG"
UNREADABLE_ENDINGS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIC_HINT),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), DICOM_HINT),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf"), RAW_HINT),
    **dict.fromkeys((".orf", ".rw2", ".raf", ".pef", ".srw", ".raw", ".3fr", ".erf"), RAW_HINT),
    **dict.fromkeys((".jxl", ".exr", ".hdr", ".psd", ".xcf", ".nii", ".mha"), OTHER_HINT),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".czi", ".fits", ".fit"), OTHER_HINT),
}
"""Images that Pillow cannot decode, with what to do. They are not left out without a word."""

OTHER_ENDINGS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst"),
    *(".html", ".htm", ".svg", ".pdf", ".db", ".ini", ".log", ".py", ".ipynb", ".m", ".sh"),
    *(".mat", ".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".pth", ".parquet"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".url", ".lnk"),
    *(".ogg", ".mp3", ".wav", ".flac", ".m4a", ".mp4", ".avi", ".mov", ".mkv", ".webm"),
    *(".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".ods", ".odt", ".rtf", ".xmp"),
    *(".geojson", ".kml", ".shp", ".dbf", ".prj", ".jgw", ".tfw", ".bak", ".cache"),
}
"""Endings of files that are never opened: a folder may hold a million of them."""

SNIFFED_BYTES = 132
NO_ENDING = "(no ending)"


def ending_of(name: str) -> str:
    """Return the ending of a file name in lower case with its dot; blank without one."""
    # os.path takes a tenth of the time of Path, and there may be a million files.
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def classify_file(path: str) -> FileKind:
    """Return whether a file is an image, an image that cannot be read, or something else.

    Only files without a known ending are opened, for their first bytes.
    """
    ending = ending_of(path)
    if ending in IMAGE_ENDINGS:
        return "image"
    if ending in UNREADABLE_ENDINGS:
        return "unreadable"
    if ending in OTHER_ENDINGS:
        return "other"
    return _classify_content(_read_start(path))


def unreadable_hint(path: str) -> str:
    """Return what an image is that cannot be read, and what to do."""
    return UNREADABLE_ENDINGS.get(ending_of(path), "") or describe_content(path)


def describe_content(path: str) -> str:
    """Return what the first bytes of a file are, where that explains why it is no image."""
    start = _read_start(path)
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return HEIC_HINT
    if start[128:132] == b"DICM":
        return DICOM_HINT
    if start.lstrip()[:9].lower() in (b"<!doctype", b"<html><he") or b"<html" in start.lower():
        return "a web page, perhaps of a failed download"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS: run `git lfs pull`"
    return ""


def _read_start(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            return stream.read(SNIFFED_BYTES)
    except OSError:
        return b""


def _classify_content(start: bytes) -> FileKind:
    if start.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")):
        return "image"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "image"
    return "unreadable" if start[128:132] == b"DICM" else "other"
