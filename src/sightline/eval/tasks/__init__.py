"""Tasks: items with a picture, a question and a way to score an answer."""
