# bar this is the foo
ARG foo=bar

# wrong comment
FROM busybox AS base

# another
RUN echo
copy ignored.txt /
ADD ignored.txt /
WORKDIR /x
WORKDIR y
cmd ["x"]
EXPOSE 80/udp 90/Tcp
