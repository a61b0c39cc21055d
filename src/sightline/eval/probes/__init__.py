"""Probes: endless, seeded questions with a dial, whose scores over the dial are a curve."""
