# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of stage 2, tier ``small``: prepared clips and synthetic people in, ``weights/small.safetensors`` out."""
