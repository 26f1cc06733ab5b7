#!/bin/sh
# Managed by quantum.router: a deployment replaces it.
# Runs a command of the router with the code, settings and password of the release that is deployed:
#   sudo router status | check | acl | halt --reason TEXT | resume | reconcile ...
# Exit codes are the router's own; 69 when no release is deployed, 77 without root.
set -eu

refuse() {
    echo "router: $2" >&2
    exit "$1"
}

[ "$(id -u)" = 0 ] || refuse 77 'only root may read its settings and password: sudo router ...'
release=$(readlink -e /opt/quantum-router/current) || {
    for adopted in /var/lib/quantum-router/adopted/legacy-*; do
        [ ! -e "$adopted" ] || refuse 69 'the router from before runs here again and takes no commands; see router-release status'
    done
    refuse 69 'no release is deployed on this host'
}

# The folder with the passwords that the unit is handed, and with that of who operates it.
secrets=$(sed -n 's|^LoadCredential=[^:]*:\(/.*\)/[^/]*$|\1|p' "$release/unit" | head -n 1)

# Nothing of the caller's environment but the terminal and who asks: a ROUTER_* of theirs would be a setting.
# shellcheck disable=SC2016 # the inner shell expands them
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" SUDO_USER="${SUDO_USER:-}" \
    CREDENTIALS_DIRECTORY="$secrets" \
    sh -c 'set -a; . "$0/environment"; set +a; exec "$0/venv/bin/python" -I -m router "$@"' "$release" "$@"
