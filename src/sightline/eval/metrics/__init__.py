"""How answers are judged, each metric as its benchmark defines it."""
