# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release state machine of a host: stage, adopt, activate, confirm, roll back.

Standard library only, Python 3.9 and newer. The same files run as Ansible module_utils and, zipped, as `router-release`
on the host, so that a rollback needs neither Ansible nor anything of a release.
"""
