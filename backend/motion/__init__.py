# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: from a voice and Action Units to landmark motion."""
