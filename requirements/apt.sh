#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# apt.sh COMMAND=PACKAGE ... installs the Debian packages of the commands that are missing, with sudo unless root.
set -eu

packages=
for pair in "$@"; do
  if ! PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" > /dev/null; then
    packages="$packages ${pair#*=}"
  fi
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get > /dev/null; then
  echo "missing:$packages. This is no Debian: install them by hand, then run make again" >&2
  exit 1
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "missing:$packages. Neither root nor sudo to install them: run make as root" >&2
    exit 1
  fi
  sudo=sudo
fi
echo "Installing$packages"
$sudo apt-get update --quiet=2
# shellcheck disable=SC2086  # one word a package
$sudo env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install --yes --quiet=2 --no-install-recommends $packages > /dev/null

case "$packages" in
  *redis-server*)
    # Only the binary is wanted, for tests that start their own; the service must not take the machine's port.
    $sudo service redis-server stop > /dev/null
    if command -v systemctl > /dev/null; then
      $sudo systemctl --quiet disable redis-server 2> /dev/null
    fi
    ;;
esac
