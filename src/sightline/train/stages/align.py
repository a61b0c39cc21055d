"""Captions: every token of the description is predicted from the picture and the words before.

The first stage of LLaVA (Liu et al. 2023) trains the connector alone; what trains is the
recipe's choice here, since a model made from nothing has to learn to see in this stage.
"""

from __future__ import annotations

from sightline.train.losses import next_token

loss = next_token
