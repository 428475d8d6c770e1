#!/bin/bash
set -Eeuo pipefail

# Options alone mean options of mongod.
if [ "${1:0:1}" = "-" ]; then
    set -- mongod "$@"
fi

if [ "$1" = mongod ]; then
    if [ "$(id -u)" = 0 ]; then
        # A new volume may belong to root.
        find /data/db /data/configdb \! -user mongodb -exec chown mongodb:mongodb {} +
        exec setpriv --reuid=mongodb --regid=mongodb --init-groups -- "$BASH_SOURCE" "$@"
    fi
    exec mongo-first-start "$@"
fi

exec "$@"
