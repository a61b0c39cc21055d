"""Integer-only layouts: what pictures become, before any pixel is read."""
