"""What a model costs before it is loaded: tokens, memory, concurrency, latency, training.

Everything here follows from the spec, the layout of the pictures and a table of machines. No torch,
no weights.
"""

from sightline.planner.capacity import Fit, concurrency, fit
from sightline.planner.context import check
from sightline.planner.report import Plan, plan
from sightline.planner.tensors import CrossAttention, cross_attention
from sightline.planner.train import TrainPlan, train_plan

__all__ = [
    "CrossAttention",
    "Fit",
    "Plan",
    "TrainPlan",
    "check",
    "concurrency",
    "cross_attention",
    "fit",
    "plan",
    "train_plan",
]
