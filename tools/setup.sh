#!/bin/bash
# What Solva and its tests need on a Debian or Ubuntu machine: system packages, and .venv with `solva` in it.
# Quick when there is nothing to do. As root. `setup.sh tests`: also what only the tests need (a browser, CNI plugins, etcd).
set -eu
cd "$(dirname "$0")/.."
packages="crun conmon nftables libnftables1 iproute2 uidmap docker-registry mmdebstrap busybox-static python3-venv \
iptables tini procps curl ca-certificates debian-archive-keyring"
[ "${1:-}" = tests ] && packages="$packages chromium containernetworking-plugins etcd-server wireguard-tools wireguard-go"
missing=""
for name in $packages; do
    dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing="$missing $name"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "setup: these packages are missing, and installing them needs root:$missing" >&2; exit 1; }
    echo "setup: installing$missing"
    apt-get update -q >/dev/null
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
fi
python=""
for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        python=$candidate; break
    fi
done
[ -n "$python" ] || { echo "setup: Python 3.11 or newer is needed; this machine has $(python3 --version 2>&1)" >&2; exit 1; }
stamp=.venv/.solva-setup
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "setup: .venv with $("$python" --version)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/pip install -qq --disable-pip-version-check -e '.[dev]'
    .venv/bin/python -m solva.cli.launcher .venv/bin/solva   # a start-up script that imports less than pip's
    touch "$stamp"
fi
if [ "${1:-}" = tests ] && [ ! -d .venv/share/redis/usr ]; then
    # Redis and socat of Debian's packages, unpacked: the image that testcontainers starts is made of them
    mkdir -p .venv/share/redis.debs
    chmod 777 .venv/share/redis.debs
    if (cd .venv/share/redis.debs && apt-get download -q redis-server redis-tools libjemalloc2 liblua5.1-0 liblzf1 \
        libhiredis0.14 lua-cjson lua-bitop socat libwrap0 >/dev/null 2>&1); then
        for package in .venv/share/redis.debs/*.deb; do dpkg-deb -x "$package" .venv/share/redis; done
    else
        echo "setup: Debian's Redis cannot be had; the test with testcontainers will be skipped" >&2
    fi
    rm -rf .venv/share/redis.debs
fi
if [ "${1:-}" = tests ] && [ ! -d .venv/share/docker-py/tests ]; then
    # docker-py's own suite; 7.0.0 is the last release whose source distribution carries it
    if .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary docker -d .venv/share \
        docker==7.0.0; then
        mkdir -p .venv/share/docker-py
        tar -xzf .venv/share/docker-7.0.0.tar.gz -C .venv/share/docker-py --strip-components=1 \
            docker-7.0.0/tests docker-7.0.0/pytest.ini docker-7.0.0/LICENSE
    else
        echo "setup: docker-py's suite cannot be had; its test will be skipped" >&2
    fi
fi
.venv/bin/python -m compileall -q src/solva   # a start that need not compile is 20 ms quicker
