#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sanity.sh [ARGUMENT ...] runs `ansible-test sanity` on the collection, with each Python from 3.9 to 3.13 that is here.
set -euo pipefail
cd "$(dirname "$0")/.."
collection=ansible_collections/quantum/router

# A copy of what git has, outside: ansible-test writes into what it tests.
copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/$collection"
git -C "ansible/$collection" ls-files -z --cached --others --exclude-standard |
  (cd "ansible/$collection" && xargs -0 cp --parents --target-directory="$copy/$collection")

# Its virtual environments belong to this checkout and stay for the next run. It would fetch pip for them from a server of
# its own; the one that Python brings needs no network.
home="$PWD/.cache/sanity"
pip=$(python -c 'from types import SimpleNamespace as Python
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(Python(version=""))["pip"])')
mkdir -p "$home/.ansible/test/cache"
echo 'import ensurepip; ensurepip.bootstrap()' > "$home/.ansible/test/cache/get_pip_${pip//./_}.py"

# Only Pythons that run: a version manager's stand-in for one that is not chosen would end the test.
pythons="$copy/bin"
mkdir "$pythons"
for version in 3.9 3.10 3.11 3.12 3.13; do
  if found=$("python$version" -c 'import sys; print(sys.executable)' 2> /dev/null); then
    ln -s "$found" "$pythons/python$version"
  fi
done

cd "$copy/$collection"
HOME="$home" PATH="$(dirname "$(command -v ansible-test)"):$pythons:/usr/bin:/bin" ansible-test sanity "$@"
