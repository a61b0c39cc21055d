"""The doctor: everything that can go wrong with a recipe or a model, before compute is spent."""
