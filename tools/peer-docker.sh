#!/bin/bash
# A real Docker beside Solva, as a peer to compare with and to measure against: Debian sid's docker.io in a root
# of its own (mmdebstrap), a mount and a network namespace of its own, its API on a unix socket outside.
#
#   tools/peer-docker.sh start|stop|status        SOLVA_PEER_ROOT (default /var/cache/solva/peer)
#   tools/peer-docker.sh run COMMAND [ARG ...]    inside the root: `run docker compose up -d`; the host's /run is
#                                                 /run/host there, /work and /tmp are the host's
#
# socket: $SOLVA_PEER_ROOT.run/docker.sock    client: the root's /usr/bin/docker
#
# The stand-ins' registry (SOLVA_STANDINS_ADDRESS, 127.0.0.1:5050) is its mirror of docker.io: 10.201.99.1:5000 as the
# peer sees the machine is translated to it, by a rule for the peer's link alone; `start` makes that, `stop` removes it.
set -eu
root=${SOLVA_PEER_ROOT:-/var/cache/solva/peer}
run=$root.run
data=$root.data
netns=solva-peer
socket=$run/docker.sock

build() {
    [ -e "$root/.complete" ] && return 0
    command -v mmdebstrap >/dev/null || { echo "peer-docker: mmdebstrap is not installed" >&2; exit 3; }
    rm -rf --one-file-system "$root"
    mkdir -p "$(dirname "$root")"
    mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=docker.io,docker-cli,docker-compose,docker-buildx,iptables,iproute2,ca-certificates,procps,mount,iperf3 \
        sid "$root" http://deb.debian.org/debian
    touch "$root/.complete"
}

# The machine's side of the peer's link, in a table of its own: the way out, and the way to the registry on loopback
# (route_localnet for this link; whatever else comes from it for 127.0.0.0/8 is dropped).
rules() {
    sysctl -qw net.ipv4.conf.speer0.route_localnet=1
    nft -f - <<N
table ip solva_peer
delete table ip solva_peer
table ip solva_peer {
    chain post {
        type nat hook postrouting priority 100
        ip saddr 10.201.99.0/24 oifname != "speer0" masquerade
    }
    chain pre {
        type nat hook prerouting priority dstnat - 5
        iifname "speer0" ip daddr 10.201.99.1 tcp dport 5000 dnat to ${SOLVA_STANDINS_ADDRESS:-127.0.0.1:5050}
    }
    chain guard {
        type filter hook input priority -10
        iifname "speer0" ip daddr 127.0.0.0/8 ct status & dnat == 0 drop
    }
}
N
}

start() {
    build
    if [ -S "$socket" ] && curl -sf --unix-socket "$socket" http://d/_ping >/dev/null 2>&1; then
        rules
        echo "$socket"; return 0
    fi
    mkdir -p "$run" "$data"
    if ! ip netns list | grep -qw "$netns"; then
        # One veth to the host, so that the peer reaches a registry on the machine and the package indexes.
        ip netns add "$netns"
        ip link add speer0 type veth peer name eth0 netns "$netns"
        ip addr add 10.201.99.1/24 dev speer0; ip link set speer0 up
        ip -n "$netns" link set lo up
        ip -n "$netns" addr add 10.201.99.2/24 dev eth0
        ip -n "$netns" link set eth0 up
        ip -n "$netns" route add default via 10.201.99.1
        sysctl -qw net.ipv4.ip_forward=1
    fi
    rules
    cp /etc/resolv.conf "$run/resolv.conf"
    cat > "$run/inner.sh" <<I
set -e
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root/run/peer" "$root/var/lib/docker" "$root/work" "$root/tmp"
mount --rbind /proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"; mkdir -p "$root/run/peer" "$root/run/host"
mount --rbind --make-rslave /run "$root/run/host"
mount --bind "$run" "$root/run/peer"
mount --bind "$data" "$root/var/lib/docker"
[ -d /work ] && mount --bind /work "$root/work"
mount --bind /tmp "$root/tmp"
touch "$root/etc/resolv.conf"; mount --bind "$run/resolv.conf" "$root/etc/resolv.conf"
[ -f /etc/ssl/certs/ca-certificates.crt ] && mount --bind /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cd "$root"; mkdir -p .old; pivot_root . .old; umount -l /.old
exec dockerd -H unix:///run/peer/docker.sock --pidfile /run/peer/dockerd.pid --insecure-registry 10.201.99.1:5000 --registry-mirror \${SOLVA_PEER_MIRROR:-http://10.201.99.1:5000} >/run/peer/dockerd.log 2>&1
I
    setsid nsenter --net=/run/netns/$netns unshare -m bash "$run/inner.sh" </dev/null >"$run/start.log" 2>&1 &
    for _ in $(seq 150); do
        curl -sf --unix-socket "$socket" http://d/_ping >/dev/null 2>&1 && { echo "$socket"; return 0; }
        sleep 0.2
    done
    echo "peer-docker: dockerd did not start; see $run/dockerd.log" >&2
    tail -n 5 "$run/start.log" "$run/dockerd.log" >&2 || true
    exit 1
}

stop() {
    if [ -f "$run/dockerd.pid" ]; then
        pid=$(cat "$run/dockerd.pid"); kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    fi
    rm -f "$socket"
    ip netns del "$netns" 2>/dev/null || true
    ip link del speer0 2>/dev/null || true
    nft delete table ip solva_peer 2>/dev/null || true
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    run) shift
        : "${DOCKER_HOST:=unix:///run/peer/docker.sock}"; export DOCKER_HOST
        exec nsenter -t "$(cat "$run/dockerd.pid")" -m -n --wd="$PWD" -- env HOME=/root "$@" ;;
    status) curl -sf --unix-socket "$socket" http://d/version ;;
    *) echo "usage: $0 start|stop|status|run" >&2; exit 2 ;;
esac
