# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait: reading the picture, finding the face, its landmarks and Action Units."""
