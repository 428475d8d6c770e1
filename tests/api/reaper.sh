#!/bin/sh
# What testcontainers' ryuk does, with ryuk's protocol: a client connects to 8080 and sends lines of filters
# (label=KEY=VALUE), each answered by ACK. When the last client has gone and none comes back within
# RYUK_RECONNECTION_TIMEOUT, everything that bears the labels is removed, and the reaper ends.
socket=/var/run/docker.sock
mkdir -p /clients

request() {
    printf '%s %s HTTP/1.0\r\nHost: reaper\r\n\r\n' "$1" "$2" | socat -t 60 - "UNIX-CONNECT:$socket"
}

if [ "${1:-}" = session ]; then
    touch "/clients/$$" /seen
    trap 'rm -f "/clients/$$"' EXIT
    while read -r line; do
        printf '%s\n' "$line" | tr -d '\r' | sed -n 's/^label=//p' >>/labels
        echo ACK
    done
    exit 0
fi
socat TCP-LISTEN:8080,reuseaddr,fork "EXEC:/bin/reaper session" &
while ! netstat -ltn | grep -q ':8080 '; do usleep 20000; done
echo "reaper: Started!"
timeout=${RYUK_RECONNECTION_TIMEOUT:-10s}
while :; do
    if [ -e /seen ] && [ -z "$(ls /clients)" ]; then
        sleep "${timeout%s}"
        [ -z "$(ls /clients)" ] && break
    fi
    usleep 100000
done
sort -u /labels | while read -r label; do
    filter="filters=%7B%22label%22%3A%5B%22$label%22%5D%7D"
    for id in $(request GET "/v1.44/containers/json?all=1&$filter" | grep -o '"Id":"[0-9a-f]*"' | cut -d'"' -f4); do
        request DELETE "/v1.44/containers/$id?force=1&v=1" | head -n 1
    done
    request POST "/v1.44/networks/prune?$filter" >/dev/null
    request POST "/v1.44/volumes/prune?$filter" >/dev/null
done
