# check=experimental=all
FROM busybox AS x
# foo
ARG bar=1
COPY ignored.txt /
