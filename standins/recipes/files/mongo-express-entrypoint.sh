#!/bin/bash
set -eo pipefail

if [ "$1" != mongo-express ]; then
    exec "$@"
fi

# The first server that the settings name, as host and port.
first_server() {
    local address=${ME_CONFIG_MONGODB_SERVER:-}
    if [ -n "$address" ]; then
        address="${address%%,*}:${ME_CONFIG_MONGODB_PORT:-27017}"
    else
        address=${ME_CONFIG_MONGODB_URL#*://}
        address=${address%%[/?]*}
        address=${address##*@}
        address=${address%%,*}
    fi
    case $address in *:*) ;; *) address=$address:27017 ;; esac
    echo "${address%:*} ${address##*:}"
}

case $ME_CONFIG_MONGODB_URL in mongodb+srv://*) ;; *)
    read -r host port < <(first_server)
    echo "Waiting for $host:$port..."
    for try in $(seq 1 100); do
        if (exec 6<>"/dev/tcp/$host/$port") 2>/dev/null; then break; fi
        [ $((try % 10)) != 0 ] || echo "$(date) still waiting for $host:$port ($try/100)"
        sleep 0.3
    done
esac

cd /app
exec node app.js
