#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deploy.sh WORK PYTHON KEPT PLAYBOOK [OPTION ...] runs a playbook on this very host with the Ansible that lies in WORK,
# which is all that it writes to besides KEPT, for reports.
set -eu
work=$1 python=$2 kept=$3 playbook=$4
shift 4

"$python" -I -m venv --without-pip "$work/venv"
pip=$(echo "$work"/wheels/pip-*.whl)
"$work/venv/bin/python" "$pip/pip" --isolated --no-input install --quiet --no-index --no-cache-dir --no-compile \
    --disable-pip-version-check --root-user-action=ignore --only-binary=:all: --require-hashes \
    --find-links "$work/wheels" --requirement "$work/ansible.txt"
# Where ansible.cfg looks for it.
mkdir -p "$work/ansible/ansible_collections/quantum/router"
tar -xzf "$work/collection.tar.gz" -C "$work/ansible/ansible_collections/quantum/router"
# Not the Python of this folder: the release is built with it, and stays.
echo "[routers]
$(uname -n) ansible_connection=local ansible_python_interpreter=$python" > "$work/hosts"

# Nothing of the caller's environment but the terminal and who asks: an ANSIBLE_* of theirs would be a setting.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$work" LANG=C.UTF-8 \
    TERM="${TERM:-dumb}" SUDO_USER="${SUDO_USER:-}" TMPDIR="$work" \
    ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_HOME="$work" ANSIBLE_REMOTE_TEMP="$work" \
    "$work/venv/bin/ansible-playbook" --inventory "$work/hosts" --extra-vars "router_report_dir=$kept" "$playbook" "$@"
