"""How the next token is chosen and when an answer ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from sightline.core.errors import SamplingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Options of one answer; temperature 0 is greedy. Raises SamplingError outside the ranges.

    Applied in this order: repetition penalty (Keskar et al. 2019, over prompt and answer),
    temperature, top-k, top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024).
    `beams` > 1 searches for the likeliest answer, scored by log-probability divided by
    length ** length_penalty; it excludes every option that changes the distribution.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    beams: int = 1
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        self._refuse_wrong_types()
        top_k = self.top_k
        for field, good, fix in (
            ("max_tokens", self.max_tokens >= 1, "use at least 1"),
            ("temperature", 0 <= self.temperature <= 100, "use 0 (greedy) to 100"),
            ("top_k", top_k is None or top_k >= 1, "use at least 1, or leave it out"),
            ("top_p", 0 < self.top_p <= 1, "use a number above 0, up to 1"),
            ("min_p", 0 <= self.min_p <= 1, "use 0 to 1"),
            ("repetition_penalty", 0.01 <= self.repetition_penalty <= 100, "use 1 for none"),
            ("stop", all(self.stop), "remove the empty stop string"),
            ("beams", 1 <= self.beams <= 64, "use 1 to 64"),
            ("beams", self.beams == 1 or self._undistorted(), "leave out what changes the odds"),
            ("length_penalty", -10 <= self.length_penalty <= 10, "use -10 to 10"),
            ("seed", 0 <= self.seed < 2**63, "use 0 to 2**63 - 1"),
        ):
            if not good:
                raise SamplingError(field, f"{getattr(self, field)!r} is not usable", fix)

    def _undistorted(self) -> bool:
        plain = self.top_k is None and self.top_p == 1 and self.min_p == 0
        return plain and self.temperature == 0 and self.repetition_penalty == 1

    def _refuse_wrong_types(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "stop":
                good = isinstance(value, tuple) and all(isinstance(s, str) for s in value)
            elif field.type in ("int", "int | None"):
                good = type(value) is int or (value is None and field.name == "top_k")
            else:
                good = type(value) is int or (type(value) is float and math.isfinite(value))
            if not good:
                raise SamplingError(field.name, f"{value!r} is not {field.type}", "mend its type")
