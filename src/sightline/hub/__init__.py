"""Finding model folders: a local path, or a hub id that is fetched into a cache."""

from sightline.hub.find import find

__all__ = ["find"]
