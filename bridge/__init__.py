# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that the Blender add-on and the backend share. Standard library and numpy only."""

VERSION = "0.1.0"
PROTOCOL = 1
