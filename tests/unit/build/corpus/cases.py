"""Dockerfiles whose outcome on a real Docker (BuildKit) is recorded in goldens/, by ``record.py``.

The base is ``busybox`` (a few commands and no /etc/passwd). ``run``: the case needs real RUN steps.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class File:
    data: str = ""
    mode: int = 0o644


@dataclass(frozen=True)
class Dir:
    mode: int = 0o755


@dataclass(frozen=True)
class Link:
    target: str


Entry = File | Dir | Link


@dataclass(frozen=True)
class Case:
    dockerfile: str
    files: dict[str, Entry] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    target: str = ""
    run: bool = False


TREE: dict[str, Entry] = {
    "a.txt": File("hi\n"),
    "b.txt": File("bee\n", 0o600),
    "run.sh": File("#!/bin/sh\necho run\n", 0o755),
    "d": Dir(0o750),
    "d/f": File("x\n"),
    "d/l": Link("f"),
    "d/sub": Dir(),
    "d/sub/g": File("y\n", 0o640),
    "d/.hidden": File("h\n"),
    "link-to-a": Link("a.txt"),
    "link-to-d": Link("d"),
    "e": Dir(),
    "e/f": File("e's f\n"),
    "e/sub": Dir(0o700),
    "e/sub/h": File("h\n"),
}

CASES: dict[str, Case] = {
    "article": Case("""FROM busybox

WORKDIR /app

ENV PYTHONUNBUFFERED=1

RUN echo upgraded > /pip

COPY requirements.txt .

RUN cat requirements.txt > /installed

COPY . .

CMD ["python", "app.py"]
""", {"requirements.txt": File("flask\n"), "app.py": File("print(1)\n"), "Dockerfile": File("")}, run=True),
    "metadata": Case("""FROM busybox:latest
ENV A=b C="d e" PATH=$PATH:/x
ENV old style value
WORKDIR /app
WORKDIR sub
EXPOSE 80 90/udp
VOLUME /v1 /v2
VOLUME ["/v3"]
USER 1000:1000
LABEL l=1 "m n"="o p"
HEALTHCHECK --interval=5s --timeout=3s --retries=4 --start-period=1m CMD wget x || exit 1
STOPSIGNAL SIGINT
SHELL ["/bin/ash", "-c"]
ONBUILD RUN echo trigger
MAINTAINER joe <j@x>
CMD echo $A
ENTRYPOINT ["/bin/e", "a b"]
"""),
    "healthcheck-none": Case("FROM busybox\nHEALTHCHECK NONE\n"),
    "healthcheck-json": Case('FROM busybox\nHEALTHCHECK CMD ["/bin/true", "-x"]\n'),
    "healthcheck-interval": Case("FROM busybox\nHEALTHCHECK --start-interval=1s500ms --timeout=2m CMD true\n"),
    "entrypoint-resets-cmd": Case('FROM busybox AS a\nCMD ["x"]\nFROM a\nENTRYPOINT ["/e"]\n'),
    "entrypoint-keeps-cmd": Case('FROM busybox AS a\nENTRYPOINT ["/e"]\nFROM a\nCMD ["x"]\nENTRYPOINT /f $HOME\n'),
    "cmd-empty": Case("FROM busybox\nCMD []\nENTRYPOINT []\n"),
    "expand": Case("""FROM busybox
ARG V=val W
ENV A=$V B=${V:-no} C=${W:-dflt} D=${V:+yes} E='$V' F="q\\$V" G=\\$V H=${V}x I=${W} J="a  b" K=a\\ b
ENV P=/usr/lib/libx.so.1.so
ENV Q=${P#*/} R=${P##*/} S=${P%.so*} T=${P%%.so*} U=${P/so/SO} X=${P//so/SO} Y=${V-un} Z=${N+set}
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
LABEL "k.$V"="v $V" plain=$V
EXPOSE ${PORT:-8080} 9000-9002/tcp
WORKDIR /w/$V
USER ${V}:g
STOPSIGNAL ${SIG:-9}
VOLUME /v/$V [not-json
"""),
    "args": Case("""ARG BASE=busybox
ARG UNUSED=1
FROM ${BASE} AS one
ARG FOO=1 BAR
ARG UNUSED
ENV X=$FOO-$BAR-$UNUSED
RUN echo $FOO $BAR > /out
FROM one
ARG BAR=inner
RUN echo $FOO:$BAR > /out2
ENV BAR=fromenv
RUN echo $FOO:$BAR > /out3
""", args={"BAR": "2", "UNUSED": "glob"}, run=True),
    "args-platform": Case("""FROM busybox
ARG TARGETPLATFORM
ARG TARGETARCH TARGETOS
ARG BUILDPLATFORM
ENV P=$TARGETPLATFORM A=$TARGETARCH O=$TARGETOS B=$BUILDPLATFORM N=$TARGETVARIANT
"""),
    "copy-file": Case("FROM busybox\nCOPY a.txt /x\nCOPY a.txt /dir/\nCOPY a.txt b.txt run.sh /many/deep/\n"
                      "WORKDIR /w\nCOPY a.txt .\nCOPY a.txt ./rel\nCOPY b.txt sub/\n", TREE),
    "copy-dir": Case("FROM busybox\nCOPY d /new\nCOPY d /into/\nCOPY d e /both/\nCOPY d/ /slash\n"
                     "COPY d/. /dot\n", TREE),
    "copy-all": Case("FROM busybox\nCOPY . /all\nCOPY . .\n", TREE),
    "copy-over": Case("FROM busybox\nCOPY d /x\nCOPY e /x\nCOPY a.txt /x/f\nCOPY d/sub/g /x\n", TREE),
    "copy-wildcard": Case("FROM busybox\nCOPY *.txt /w/\nCOPY d/* /stars/\nCOPY ?.txt /q/\nCOPY [ab].txt /cls/\n"
                          "COPY */f /deep/\nCOPY r*.sh /single\nCOPY nope* /none/\n", TREE),
    "copy-wildcard-dirs": Case("FROM busybox\nCOPY [de] /merged/\n", TREE),
    "copy-symlinks": Case("FROM busybox\nCOPY link-to-a /la\nCOPY link-to-a /ld/\nCOPY link-to-d /lx\n"
                          "COPY link-to-d/f /through\nCOPY link* /links/\n", TREE),
    "copy-chown": Case("FROM busybox\nCOPY --chown=1:2 --chmod=640 d/ /dst/\nCOPY --chown=7 a.txt /new/dir/a\n"
                       "COPY --chmod=755 a.txt /bin/a\nCOPY --chmod=4711 e /e\nCOPY etc /etc\n"
                       "COPY --chown=app a.txt /named\nCOPY --chown=app:staff a.txt /named2\n"
                       "COPY --chown=:staff a.txt /named3\nCOPY --chown=0:staff a.txt /named4\n",
                       {**TREE, "etc": Dir(), "etc/passwd": File("root:x:0:0::/:\napp:x:100:101::/:\n"),
                        "etc/group": File("root:x:0:\nstaff:x:50:\n")}),
    "copy-chmod-symbolic": Case("FROM busybox\nCOPY --chmod=u=rwX,go=rX d /d\nCOPY --chmod=a+x,o-r a.txt /a\n"
                                "COPY --chmod=g=u b.txt /b\n", TREE),
    "copy-user": Case("FROM busybox\nUSER 5:6\nWORKDIR /mine\nCOPY a.txt /a\nADD a.txt /b\n", TREE),
    "copy-dest-symlink": Case("FROM busybox\nCOPY links /\nCOPY a.txt /ln/\nCOPY a.txt /ln2/x\nCOPY d /lnd\n"
                              "COPY a.txt /lnf\nCOPY a.txt /out/x\nWORKDIR /lnd/w\n",
                              {**TREE, "links": Dir(), "links/ln": Link("/real"), "links/real": Dir(),
                               "links/ln2": Link("real"), "links/lnd": Link("missing/dir"), "links/lnf": Link("real/z"),
                               "links/out": Link("../../../../../../tmp/e-out")}),
    "copy-stage": Case("""FROM busybox AS src
WORKDIR /work
COPY --chown=3:4 d /work/d
COPY --chown=3:4 --chmod=600 a.txt /work/a
COPY links /work/
FROM scratch AS unused
COPY nothing-here /
FROM busybox
COPY --from=src /work/d /d
COPY --from=0 /work/a /a
COPY --from=src --chown=9:9 /work /all
COPY --from=src work/abs /viaabs
COPY --from=src /work/d/* /glob/
""", {**TREE, "links": Dir(), "links/abs": Link("/work/a"), "links/up": Link("../../../../work/a")}),
    "copy-image": Case("FROM scratch\nCOPY --from=busybox /bin/busybox /b\nCOPY --from=busybox:latest /bin/sh /sh\n"),
    "scratch": Case("FROM scratch\nCOPY a.txt /\nCMD [\"/a\"]\n", TREE),
    "scratch-env": Case("FROM scratch\nENV A=1 B=$PATH\nCOPY a.txt /\n", TREE),
    "copy-heredoc": Case("""FROM busybox
ENV A=val
COPY <<EOT /one
x $A \\$A "q" 'q' \\n
EOT
COPY <<"EOT" <<-two.txt /several/
raw $A
EOT
\tchomp $A
\ttwo.txt
COPY --chmod=700 --chown=1:1 <<EOT a.txt /mixed/
m
EOT
ADD <<EOT /added
add
EOT
""", TREE),
    "run-heredoc": Case("""FROM busybox
RUN <<EOT
echo one > /1
echo two >> /1
EOT
RUN <<EOT cat > /2
data $HOME
EOT
RUN cat <<A > /3 && cat <<'B' > /4
a
A
b
B
""", run=True),
    "run-forms": Case("""FROM busybox
RUN echo a \\
  # a comment in between

  && echo b > /f
RUN ["/bin/sh", "-c", "echo c > /g"]
SHELL ["/bin/sh", "-ec"]
RUN echo d > /h
ENV FOO=bar
USER 12:12
WORKDIR /tmp
USER 0:0
RUN echo $FOO $HOME > env
""", run=True),
    "workdir": Case("FROM busybox\nWORKDIR /a/b\nWORKDIR c\nWORKDIR ../d\nWORKDIR /\nWORKDIR /bin\n"),
    "target": Case("FROM busybox AS one\nENV A=1\nFROM busybox AS two\nCOPY missing /\n", target="one"),
    "onbuild": Case("""FROM busybox AS base
ONBUILD ENV TRIGGERED=1
ONBUILD COPY a.txt /triggered
ENV BASE=1
FROM base
ENV AFTER=$TRIGGERED
""", TREE),
    "volume-then-change": Case("FROM busybox\nCOPY d /v\nVOLUME /v\nCOPY a.txt /v/after\n", TREE),
    "exclude": Case("FROM busybox\nCOPY --exclude=f d /one\nCOPY --exclude=*/f d /two\nCOPY --exclude=d/f d /three\n"
                    "COPY --exclude=**/g --exclude=*.txt . /four\nCOPY --exclude=sub d e /five/\n", TREE),
    "add-files": Case("FROM busybox\nADD a.txt d /x/\nADD --chmod=600 a.txt /y\n", TREE),
    "escape": Case("# escape=`\n# syntax-like = comment\nFROM busybox\nENV A=a`\n,b\\c B=`$x\nLABEL p=C:\\dir\nCOPY `\n"
                   " a.txt `\n /x\\y\n", TREE),
    "case": Case("from busybox as Base\nenv a=1\nFROM base\ncopy --from=BASE /bin/sh /s\n"),
    "link": Case("FROM busybox\nCOPY --link a.txt /a\nCOPY --link --chown=1:1 d /d/\nCOPY --link e /d\n", TREE),
    "ignore": Case("FROM busybox\nCOPY . /all\n", {**TREE, ".dockerignore": File(
        "# comment\n*.txt\n!a.txt\nd/*\n!d/sub\n**/h\n/e/f\n"), "Dockerfile": File("")}),
    "spaces": Case('FROM busybox\nCOPY ["a b", "/x y/"]\nWORKDIR "/p q"\nLABEL "a b"="c\\"d"\n',
                   {"a b": File("space\n")}),
    "args-env-order": Case("""FROM busybox
ENV A=env
ARG A=arg
ENV B=$A
RUN echo $A > /a
ARG C=carg
ENV C=cenv
RUN echo $C > /c
ARG D=$C-$UNKNOWN
LABEL d=$D
""", run=True),
    "args-shadow": Case("""ARG V=global
ARG W=w$V
FROM busybox AS one
ARG W
ENV A=$V B=$W
FROM busybox
ARG V=local
ARG W
ENV A=$V B=$W
""", args={"W": "given"}),
    "run-script": Case("""FROM busybox
RUN <<EOF
#!/bin/sh
echo "args $# $0" > /script
EOF
RUN <<'ONE' sh; <<TWO cat > /two
echo 1 > /one
ONE
two
TWO
""", run=True),
    "expose-many": Case("FROM busybox\nEXPOSE 90 80 100/udp 80/TCP\nEXPOSE 70 127.0.0.1:81:82\n"),
    "label-merge": Case("FROM busybox AS a\nLABEL a=1 b=2\nENV P=1 Q=2\nFROM a\nLABEL b=3 c=4\nENV Q=3 P=4 R=5\n"),
    "onbuild-kept": Case("FROM busybox\nONBUILD COPY --from=x a b\nONBUILD ENV A=$B\nonbuild run echo  two  blanks\n"),
    "err-quoted": Case('FROM busybox\nCOPY "a b" /quoted\n', {"a b": File("space\n")}),
    "err-missing": Case("FROM busybox\nCOPY nope /x\n"),
    "err-outside": Case("FROM busybox\nCOPY ../../etc/passwd /x\n"),
    "err-dir-over-file": Case("FROM busybox\nCOPY a.txt /x\nCOPY d /x\n", TREE),
    "err-dir-over-nested-file": Case("FROM busybox\nCOPY clash /x\nCOPY d /x\n",
                                     {**TREE, "clash": Dir(), "clash/sub": File("file\n")}),
    "err-file-over-dir": Case("FROM busybox\nCOPY d /x\nCOPY clash /x\n",
                              {**TREE, "clash": Dir(), "clash/sub": File("file\n")}),
    "err-symlink-over-dir": Case("FROM busybox\nCOPY d /x\nCOPY clash /x\n",
                                 {**TREE, "clash": Dir(), "clash/sub": Link("f")}),
    "dir-over-symlink": Case("FROM busybox\nCOPY clash /x\nCOPY d /x\n",
                             {**TREE, "clash": Dir(), "clash/sub": Link("real"), "clash/real": Dir()}),
}
