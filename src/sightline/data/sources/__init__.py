"""Every place that rows come from: `open_source` makes of a spec what can be read.

[opened] = open_source(FilesSpec(path="train.jsonl"), recipe_folder)
opened.notes                    # ("reads 1,000 rows of train.jsonl as llava",)
opened.source.sample(16)        # Sample(id="train.jsonl:17", ...)
"""

from sightline.data.sources.media import check_media
from sightline.data.sources.open import open_source
from sightline.data.sources.opened import Opened
from sightline.data.sources.scenes import Scenes

__all__ = ["Opened", "Scenes", "check_media", "open_source"]
