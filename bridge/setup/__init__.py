# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting up the backend's own Python environment: from Blender, or with ``doctor --fix``. Standard library only."""
