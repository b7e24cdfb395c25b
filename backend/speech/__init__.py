# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice: reading recordings and turning them into features."""
