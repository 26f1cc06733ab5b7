#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Deploys the router to the host that it runs on, which needs no Ansible, pip or network: see usage below. `make bundle`
# fills in what stands between two @ and appends a tar.gz.
set -eu
# Some hosts give root over ssh a 077, and then what is deployed could be read by nobody else.
umask 022
version='@VERSION@' pythons='@PYTHONS@' machines='@MACHINES@' begin='@BEGIN@' sha256='@SHA256@'
kept='@KEPT@'

usage() {
    cat << USAGE
usage: sudo sh $0 [rollback] [--check] [--diff] [-e NAME=VALUE | -e @FILE] ...

Deploys the quantum router $version to this host, proves it, and undoes it if it did not help; rollback puts back what
ran before. It needs root, systemd, Python ($pythons) with venv, and Redis 7.0 or newer. Nothing is downloaded.

  --check      say what would be done, and touch nothing
  --diff       show how unit and environment differ
  -e           a variable of the role, such as -e router_redis_url=redis://10.0.0.5:6379/0; several as a YAML FILE

The last line is the verdict. Exit status: 0 kept, unchanged or rolled back as asked; 2 refused or undone; 64 usage,
65 this file is damaged, 69 this host lacks something, 77 not root; above 128 stopped by a signal.
Reports and run logs stay in $kept.
USAGE
}

refuse() {
    echo "quantum-router: $2" >&2
    exit "$1"
}

playbook=site
if [ "${1-}" = rollback ]; then
    playbook=$1
    shift
fi
wants=
for given in "$@"; do
    case $wants$given in
        -h | --help) usage && exit ;;
        -C | --check | -D | --diff | -v* | -e?* | --extra-vars?*) wants= ;;
        -e | --extra-vars) wants=$given ;;
        *) refuse 64 "$given is no option of this file: sh $0 --help" ;;
    esac
done
[ -z "$wants" ] || refuse 64 "$wants wants NAME=VALUE or @FILE: sh $0 --help"

[ "$(id -u)" = 0 ] || refuse 77 "only root may deploy: sudo sh $0"
case " $machines " in
    *" $(uname -m) "*) ;;
    *) refuse 69 "this host is a $(uname -m), and there are wheels for $machines only" ;;
esac
python='' seen=''
for name in python3 python3.13 python3.12 python3.11; do
    found=$("$name" -c 'import os, sys, venv; print("%d.%d" % sys.version_info[:2], os.path.realpath(sys.executable))' 2> /dev/null) || continue
    seen="$seen, found ${found%% *}"
    case " $pythons " in
        *" ${found%% *} "*) python=${found#* } && break ;;
    esac
done
[ -n "$python" ] || refuse 69 "this host lacks a Python with venv of one of these versions: $pythons${seen:-, found none}"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/quantum-router.XXXXXX")
child='' shown=''
# shellcheck disable=SC2317 # the traps call it
stop() {
    trap '' HUP INT TERM
    # All that it started is in its session; Ansible passes the signal on to what it has put into others.
    [ -z "$child" ] || kill -s TERM -- "-$child" 2> /dev/null || true
    [ -z "$child" ] || wait "$child" || true
    [ -z "$shown" ] || wait "$shown" || true
    echo "quantum-router: stopped; what was activated and not confirmed this host undoes by itself, see router-release status" >&2 || true
    exit "$1"
}
trap 'rm -rf "$work"' EXIT
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM
trap '' PIPE

tail -n "+$begin" "$0" > "$work/payload"
echo "$sha256  $work/payload" | sha256sum -c > /dev/null 2>&1 \
    || refuse 65 "$0 was damaged on its way: copy it again (scp copies it byte for byte) and compare it with SHA256SUMS"
tar -xzf "$work/payload" -C "$work"
rm "$work/payload"
printf '#!/bin/sh\n' > "$work/runs"
chmod +x "$work/runs"
"$work/runs" 2> /dev/null \
    || refuse 69 "nothing may be executed under ${TMPDIR:-/var/tmp} (noexec): name another folder, sudo TMPDIR=/opt sh $0"

[ -d "$kept" ] || mkdir -m 0750 "$kept"
log=$kept/$(date -u +%Y%m%dT%H%M%SZ)-$playbook.log
echo "quantum-router $version: reports and run log stay in $kept, this run's is $log"
: > "$log"
# Ansible writes to the log and not to who started it: when they go away in the middle, it neither stops nor stumbles.
setsid sh "$work/deploy.sh" "$work" "$python" "$kept" "quantum.router.$playbook" "$@" >> "$log" 2>&1 &
child=$!
tail -n +1 -f --pid="$child" "$log" &
shown=$!
status=0
wait "$child" || status=$?
wait "$shown" || true
# Who came by sudo may copy them.
if [ -n "${SUDO_GID-}" ]; then
    chgrp -R "$SUDO_GID" "$kept"
    chmod -R g+rX "$kept"
fi
exit "$status"
# What follows is a tar.gz.
