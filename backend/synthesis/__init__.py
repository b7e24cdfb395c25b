# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2: from a portrait and a landmark track to pictures."""
