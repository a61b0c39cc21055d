"""The one decode gateway: whatever holds a picture becomes RGB bytes, or a clear refusal."""

from sightline.pictures.gateway import PictureSource, open_picture, probe
from sightline.pictures.limits import DEFAULT_LIMITS, Format, PictureLimits
from sightline.pictures.picture import Picture

__all__ = [
    "DEFAULT_LIMITS",
    "Format",
    "Picture",
    "PictureLimits",
    "PictureSource",
    "open_picture",
    "probe",
]
