"""Published models, as tables: their configs to our specs, their tensor names to ours."""

from sightline.families.catalogue import catalogue
from sightline.families.compose import compose_spec
from sightline.families.declared import Declared, Source, TextPrompt
from sightline.families.export import Published, publish_model, publish_text, publish_tower
from sightline.families.facts import FamilyFacts
from sightline.families.read import read_spec

__all__ = [
    "Declared",
    "FamilyFacts",
    "Published",
    "Source",
    "TextPrompt",
    "catalogue",
    "compose_spec",
    "publish_model",
    "publish_text",
    "publish_tower",
    "read_spec",
]
