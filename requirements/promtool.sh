#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# promtool.sh FOLDER puts promtool there unless it is on the PATH: only this file of Debian's package `prometheus`, since
# installing the package would start a Prometheus on this machine.
set -eu

if command -v promtool > /dev/null; then exit 0; fi
if ! command -v apt-get > /dev/null; then
  echo "missing: promtool. This is no Debian: install it by hand, then run make again" >&2
  exit 1
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
cd "$unpacked"

download() { apt-get download --quiet=2 --option APT::Sandbox::User="$(id -un)" prometheus; }

echo 'Fetching promtool'
if ! download 2> /dev/null; then
  sudo=
  if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
  $sudo apt-get update --quiet=2
  download
fi
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
mv usr/bin/promtool "$folder/promtool"
