"""The one decode gateway: whatever holds a picture, a clip or pages becomes RGB bytes, or a clear
refusal."""

from sightline.pictures.clip import Clip
from sightline.pictures.clips import ClipSource, open_clip, probe_clip
from sightline.pictures.gateway import PictureSource, open_picture, probe
from sightline.pictures.limits import (
    DEFAULT_CLIP_LIMITS,
    DEFAULT_DOCUMENT_LIMITS,
    DEFAULT_LIMITS,
    ClipLimits,
    DocumentLimits,
    Format,
    PictureLimits,
)
from sightline.pictures.pages import Page, open_pages, probe_pages
from sightline.pictures.picture import Picture

__all__ = [
    "DEFAULT_CLIP_LIMITS",
    "DEFAULT_DOCUMENT_LIMITS",
    "DEFAULT_LIMITS",
    "Clip",
    "ClipLimits",
    "ClipSource",
    "DocumentLimits",
    "Format",
    "Page",
    "Picture",
    "PictureLimits",
    "PictureSource",
    "open_clip",
    "open_pages",
    "open_picture",
    "probe",
    "probe_clip",
    "probe_pages",
]
