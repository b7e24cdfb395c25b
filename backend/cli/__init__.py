# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one file for each command, imported only when it is called."""
