"""Bridges from vision features to the language model's width."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.connector.rows import LinearSpec, MlpSpec

ConnectorSpec = Annotated[LinearSpec | MlpSpec, Field(discriminator="kind")]

__all__ = ["ConnectorSpec", "LinearSpec", "MlpSpec"]
