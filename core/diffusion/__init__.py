"""Latent diffusion: pictures out of noise, told by words, and steered by maps.

An autoencoder makes a picture of f·h × f·w pixels into a latent of h × w places (f = 8: 512 px are
64 places, f = 4 in the shipped model), and back. All that follows happens there: at 128 instead of
64 places a side, four times the places, and sixteen times the work of attention.

Forward, noise is mixed in until nothing is left:

    x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε,    ε normal, ᾱ falls from 1 to about 0

A network ε_θ learns which noise was mixed in, by the loss ‖ε − ε_θ(x_t, t, words)‖² (Ho et al. 2020).
That gives an estimate of the picture at every moment:

    x̂₀ = (x_t − √(1 − ᾱ_t) ε_θ) / √ᾱ_t

Backward, a step puts the estimate and the noise together again, a little cleaner (DDIM, Song et al.
2021; DDPM adds fresh noise):

    x_s = √ᾱ_s x̂₀ + √(1 − ᾱ_s) ε_θ,    s < t

Words pull harder when what they change is enlarged (classifier-free guidance, Ho and Salimans 2022;
in training the words are dropped now and then):

    ε = ε∅ + s (ε_c − ε∅)

ControlNet (Zhang et al. 2023) leaves the U-Net as it is and adds to it. A trainable copy of its
first half reads the map; convolutions of zeros join what it says to the second half, so that it
begins by adding nothing. Stable Diffusion takes 13 such residuals, from 64, 32, 16 and 8 places and
from the middle; in guess mode they fade from there, to a tenth at the first.

Inpainting keeps what is known. Without training, the known part is put back at every step,
x_t = m ⊙ x_t(generated) + (1 − m) ⊙ x_t(known); a net trained for it sees nine channels: the latent,
the mask, and the latent of the masked picture.

    pipeline = load("tiny-sd", ("edges",))
    picture = pipeline("a red ball", image=edges, num_inference_steps=20).images[0]
"""

from core.diffusion.loading import load
from core.diffusion.models import MODELS

__all__ = ["MODELS", "load"]
