"""Language models: stacks of blocks that know only `block(x, ctx)`."""
