ARG VERSION
ARG BASE=busybox
ARG OK=latest
FROM --platform=linux/amd64 ${BASE}:${VERSION} as one
FROM ${BASE:-x} AS context
FROM ${BAS} AS three
COPY --from=one a b
