# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2, tier ``sd15``: ReferenceNet, landmark guider and temporal modules on Stable Diffusion 1.5."""
