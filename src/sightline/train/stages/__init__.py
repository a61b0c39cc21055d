"""A stage is what trains plus a loss."""
