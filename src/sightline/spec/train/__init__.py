"""Training declared: what trains, on what, with which loss, for how long."""

from sightline.spec.train.batch import BatchSpec, PackSpec, PadSpec
from sightline.spec.train.data import (
    DIALECTS,
    DataSpec,
    Dialect,
    FilesSpec,
    HubSpec,
    MixtureSpec,
    RowsSpec,
    ScenesSpec,
    SourceSpec,
)
from sightline.spec.train.parts import PARTS, AdapterSpec, FullSpec, Part, PartSpec
from sightline.spec.train.run import QuestionSpec, TrainSpec, WatchSpec
from sightline.spec.train.stage import ScheduleSpec, StageSpec

__all__ = [
    "DIALECTS",
    "PARTS",
    "AdapterSpec",
    "BatchSpec",
    "DataSpec",
    "Dialect",
    "FilesSpec",
    "FullSpec",
    "HubSpec",
    "MixtureSpec",
    "PackSpec",
    "PadSpec",
    "Part",
    "PartSpec",
    "QuestionSpec",
    "RowsSpec",
    "ScenesSpec",
    "ScheduleSpec",
    "SourceSpec",
    "StageSpec",
    "TrainSpec",
    "WatchSpec",
]
