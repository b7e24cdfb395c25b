# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of stage 2, tier ``sd15``, in two steps: single pictures first, then motion. Prepared clips in, a folder of weights out."""
