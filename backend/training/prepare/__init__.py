# SPDX-License-Identifier: GPL-3.0-or-later
"""Making training data: tracking of videos, synthetic actors."""
