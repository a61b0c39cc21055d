"""The perceiver resampler (Flamingo, Alayrac et al. 2022; IDEFICS)."""

# V views  N encoder rows  L latents  C vision width  H heads  K head dim

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.connectors.context import ViewContext
from sightline.nn.attention import attend
from sightline.nn.linear import Joint, Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import PlainMlp
from sightline.nn.norm import LayerNorm
from sightline.spec.connector import ResamplerSpec

EPS = 1e-5


class ResamplerBlock(nn.Module):
    """Latents read the view and themselves, then pass an MLP; both are added to them."""

    def __init__(self, spec: ResamplerSpec, width: int) -> None:
        super().__init__()
        inner = spec.heads * spec.head_dim
        self.head_dim, self.scale = spec.head_dim, spec.head_dim**-0.5
        self.context_norm, self.latent_norm = LayerNorm(width, EPS), LayerNorm(width, EPS)
        self.q = Linear(width, inner, bias=False)
        self.k = Linear(width, inner, bias=False)
        self.v = Linear(width, inner, bias=False)
        self.out = Linear(inner, width, bias=False)
        self.kv = Joint(self.k, self.v)
        normed = spec.qk_norm == "layer"
        self.q_norm = LayerNorm(spec.head_dim, EPS) if normed else None
        self.k_norm = LayerNorm(spec.head_dim, EPS) if normed else None
        self.mlp_norm = LayerNorm(width, EPS)
        self.mlp = PlainMlp(width, spec.mlp_ratio * width, spec.activation, bias=False)

    def forward(self, latents_VLC: Tensor, context_VNC: Tensor) -> Tensor:
        own_VLC = self.latent_norm(latents_VLC)
        read_VMC = torch.cat((self.context_norm(context_VNC), own_VLC), 1)
        q_VLHK = self.q(own_VLC).unflatten(-1, (-1, self.head_dim))
        k, v = (x.unflatten(-1, (-1, self.head_dim)) for x in self.kv(read_VMC))
        if self.q_norm is not None and self.k_norm is not None:
            q_VLHK, k = self.q_norm(q_VLHK), self.k_norm(k)
        read = attend(q_VLHK, k.transpose(1, 2), v.transpose(1, 2), BoundMask(), self.scale)
        latents_VLC = latents_VLC + self.out(read)
        return latents_VLC + self.mlp(self.mlp_norm(latents_VLC))

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the latents."""
        return self.out, self.mlp.down


class ResamplerConnector(nn.Module):
    """x[V, N, C] -> [V, latents, outputs], whatever N is."""

    def __init__(self, spec: ResamplerSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(spec.latents, inputs))
        self.blocks = nn.ModuleList(ResamplerBlock(spec, inputs) for _ in range(spec.depth))
        self.norm = LayerNorm(inputs, EPS)
        self.project = None if inputs == outputs else Linear(inputs, outputs, bias=False)

    def forward(self, x_VNC: Tensor, ctx: ViewContext) -> Tensor:
        latents_VLC = self.latents.expand(x_VNC.shape[0], -1, -1)
        for block in self.blocks:
            latents_VLC = block(latents_VLC, x_VNC)
        normed: Tensor = self.norm(latents_VLC)
        return normed if self.project is None else self.project(normed)
