"""One exception tree. Every error names the field, the problem and the fix."""

from __future__ import annotations


class SightlineError(ValueError):
    """Base of every error a user can cause or mend.

    Attributes:
        field: what is wrong, as the user would name it (`resolution.size`, a path, an option).
        problem: what is wrong with it, with the values that were found.
        fix: what to do about it.
    """

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(field, problem, fix)
        self.field, self.problem, self.fix = field, problem, fix

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; {self.fix}"


class SpecError(SightlineError):
    """A declaration that contradicts itself or has unknown, missing or wrong fields."""


class PictureError(SightlineError):
    """A picture that cannot be opened, is not what it claims, or breaks a limit."""


class PromptError(SightlineError):
    """A conversation, template or tokenizer that cannot be turned into token ids."""


class GroundingError(SightlineError):
    """Geometry that cannot be written in the chosen style, or text that is not geometry."""


class FolderError(SightlineError):
    """A model folder or hub id that is missing, incomplete or not a model."""


class FamilyError(SightlineError):
    """A config of an unknown architecture, or with fields whose meaning is unknown."""


class WeightError(SightlineError):
    """A tensor that is missing, left over, or of the wrong shape or dtype."""


class ContextOverflow(SightlineError):
    """More tokens than the model's context holds; says how many are text and how many visual."""


class SamplingError(SightlineError):
    """A sampling option outside its range."""


class PlaceholderMismatch(SightlineError):
    """Visual rows and placeholder tokens differ in number: a bug or a foreign prompt."""


class PlanError(SightlineError):
    """A plan that cannot be made: unknown hardware, nothing fits, a number out of range."""


class DataError(SightlineError):
    """A training or evaluation row that cannot be used; names file and row."""


class TrainError(SightlineError):
    """A recipe or checkpoint that cannot be trained or resumed."""


class RemoteError(SightlineError):
    """A remote model that must not or cannot be asked: not allowed, not there, key refused."""
