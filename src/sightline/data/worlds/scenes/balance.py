"""How often each outcome is tried when questions are asked about a given scene.

Fitted on scenes of the default dial so that single questions of a template come out evenly over
its outcomes; templates that are not listed are even by symmetry. The tests measure the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WEIGHTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "size.of": {"small": 1.02, "medium": 1, "large": 1.07},
        "count.shape": {
            "0": 1,
            "1": 1.57,
            "2": 2.67,
            "3": 5.56,
            "4": 12.3,
            "5": 17.9,
            "6": 24.5,
            "7": 29.6,
            "8": 41,
        },
        "count.colour": {
            "0": 1,
            "1": 1.4,
            "2": 2.95,
            "3": 7.77,
            "4": 16.5,
            "5": 19.6,
            "6": 25.8,
            "7": 29.8,
            "8": 41.7,
        },
        "count.both": {"0": 1, "1": 1.14, "2": 3.01, "3": 11, "4": 61.7},
        "count.size": {
            "small/0": 1.33,
            "small/1": 1,
            "small/2": 1.39,
            "small/3": 2.6,
            "medium/0": 1.48,
            "medium/1": 1.07,
            "medium/2": 1.44,
            "medium/3": 3.04,
            "large/0": 1.38,
            "large/1": 1.05,
            "large/2": 1,
            "large/3": 2.92,
        },
        "exists.full": {
            "yes/small": 1.4,
            "yes/medium": 1.32,
            "yes/large": 1.37,
            "no/small": 1,
            "no/medium": 1,
            "no/large": 1.01,
        },
        "compare.more_shape": {"yes": 1.33, "no": 1},
        "compare.more_colour": {"yes": 1.24, "no": 1},
    }
)
