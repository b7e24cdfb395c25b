# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a movie comes from: marks that say it is synthetic, written with it and read back by ``verify``."""
