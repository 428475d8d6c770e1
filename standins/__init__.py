"""Stand-ins for a few images of Docker Hub, for machines that reach Debian, PyPI and npm but no registry.

They have the names and the outside behaviour of `mongo`, `mongo-express`, `python:3.11.9-alpine`, `busybox` and
`debian:bookworm-slim`, are made from packages by the packer in this folder (no container engine takes part), and
are served from Debian's `docker-registry` on loopback as a mirror of docker.io.

    python -m standins up        build what is missing, serve it, tell Solva of the mirror
    python -m standins status | down | build | save IMAGE -o FILE

Where Docker Hub answers, `up` says so and does nothing.
"""
