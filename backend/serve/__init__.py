# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as a server: jobs from the add-on over a socket of this computer, one after another."""
