# SPDX-License-Identifier: GPL-3.0-or-later
"""Tier ``small``: the portrait is warped along its landmarks and a small diffusion network repaints what a warp cannot show."""
