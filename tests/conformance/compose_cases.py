"""Compose projects made up in every form: from the specification's schema, from lists of odd values, by mutation.

    python tests/conformance/compose_cases.py DIRECTORY      writes them, for compose_peer.py

Each case is a directory. Nothing here is random without a seed.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parents[2] / "src/solva/compose/schema/compose-spec.json"
SUPPORT: dict[str, Any] = {
    "networks": {"n1": {}, "n2": None, "default": None}, "volumes": {"v1": {}, "v2": None},
    "secrets": {"s1": {"file": "./s1.txt"}, "s2": {"environment": "HOME"}},
    "configs": {"c1": {"file": "./c1.txt"}, "c2": {"content": "x"}}, "models": {"m1": {"model": "ai/m"}},
}
# What a string may be, by attribute: forms that mean something, and some that do not.
STRINGS: dict[str, list[Any]] = {
    "ports": ["80", "8080:80", "127.0.0.1:8080:80", "8080-8082:80-82", "8080-8090:80", "80-82", "53:53/udp", "80/SCTP",
              "[::1]:80:80", "::1:80:80", "127.0.0.1::80", ":80", "", "80:", "abc", "70000", "8o:80", "1-2-3",
              "80/foo", "999.1.1.1:80:80", "0:0", "3000-3001:80", "9-3:1", "80/", "/tcp", "080", "1:2:3:4", 80, 0, 8080,
              "0.0.0.0:80:80/tcp", "localhost:80:80", "80:80:80", " 80", "+80", "１", "[fe80::1%eth0]:1:1"],
    "volumes": ["/a", "v1:/a", "./x:/a", "/x:/a:ro", "v1:/a:rw", "v1:/a:nocopy", "./x:/a:z", "./x:/a:Z,ro", "~/x:/a",
                "../x:/a:rshared", "v1:/a:ro,nocopy", "a", "ab", "", ":", "v1:", ":/a", "a:b:c:d", "C:\\x:/a", "c:/x:/a",
                "/a/../b/", "./x:/a:bogus", ".:/a", "~:/a", "zz:/a", "v1:/a/", "v1:/a:ro:ro", "x:/a", "\\\\pipe:/a",
                "v1:a/b", "./x:/a:nocopy"],
    "extra_hosts": [["a=1.1.1.1"], ["a:1.1.1.1"], ["a=[::1]"], ["a:::1"], ["a"], {"a": "1.1.1.1"}, {"a": ["1.1.1.1", "2.2.2.2"]},
                    ["b=1", "a=2"], ["=1"], ["a=1,2"], {"a:b": "1"}, ["a=1", "a=2"], ["a=1", "a=1"], {"a": "[::1]"}, []],
    "command": ["a b", "a 'b c'", 'a "b c"', "a \\\"b", "a && b", "a | b", "a; b", "a > f", "a 2>f", "", "a 'b", "a \\",
                "a $$x", "a $$(b c)", "a `b c`", "(a)", "a\tb\n c", "''", "a'b'c", 'a"b', "\"it's\"", "a # b", "é ü",
                ["a", "b"], [], None, ["a", ""], "'a\\'b'", "a)b", "\\n", "a\\ b", "a$$b", "{a}", "[x]", "a=1 b", "*"],
    "healthcheck": [{"test": "a"}, {"test": ["CMD", "a"]}, {"test": ["a"]}, {"test": []}, {"test": ["NONE"]}, {"disable": True},
                    {"disable": "true"}, {"interval": "1m30s"}, {"interval": "90"}, {"interval": "0"}, {"interval": "1.5h"},
                    {"timeout": "1d"}, {"timeout": "2w3d"}, {"timeout": "abc"}, {"timeout": ""}, {"timeout": "1x"},
                    {"start_period": "0s"}, {"start_interval": "5ms"}, {"retries": 3}, {"retries": "3"}, {"retries": 1.5},
                    {"retries": -1}, {"retries": 0}, {"x-a": 1}, {}, {"bogus": 1}, {"interval": "-5s"},
                    {"interval": "100us"}, {"interval": "1h0m0.5s"}, {"interval": "1µs"}, {"interval": " 1s"}],
    "mem_limit": ["1g", "512m", "1.5gb", "100", 100, "1KiB", "1 k", "10b", "-1", -1, "abc", "1x", "1kk", "", "1e3", 1.5,
                  "0", 0, "1mib", "1bb", "m", ".5g", "1tb", "1pb", "1eb", "1GB ", "0x10", "1_000", "64M"],
    "shm_size": ["64m", 1024, "1gb", "x"],
    "memswap_limit": ["-1", -1, "1g"],
    "environment": [["A=1"], ["A"], ["A="], ["A=b=c"], ["=x"], ["A =1"], ["A=1", "A=2"], ["A", "A=1"], {"A": 1}, {"A": None},
                    {"A": 1.5}, {"A": True}, {"A": ""}, {"A": "x"}, {"A": 1e30}, {"A": 0.00001}, {"A": 100000000000000000000},
                    {"A": [1]}, {"A": {"b": 1}}, [1], ["HOME"], {"HOME": None}, [], {}, "A=1", {"A.b": 1}, {"A": -0.0},
                    {"A": 12345678.9}, {"A": 1000000.0}, {"A b": 1}, ["A=$$x"], {"A": "$$x"}, {"A": "a\nb"}],
    "labels": [["a=b"], ["a"], ["a="], {"a": None}, {"a": 1}, {"a": True}, {"a": "x=y"}, [], {}, ["a=b", "a=c"], {"a": 2.50},
               ["a=b=c"], {"a.b/c": "d"}, {"a": "$${x}"}],
    "depends_on": [["b"], ["b", "b"], {"b": {"condition": "service_started"}}, {"b": {"condition": "bogus"}}, {"b": {}},
                   {"b": {"condition": "service_healthy", "restart": True, "required": False}}, {"b": None}, ["zz"],
                   {"b": {"condition": "service_started", "restart": "yes"}}, {"zz": {"condition": "service_started",
                   "required": False}}, [], {}, ["a"], {"b": {"condition": "service_started", "x-a": 1}}],
    "deploy": [{}, None, {"replicas": 2}, {"replicas": "3"}, {"replicas": 0}, {"replicas": -1}, {"mode": "global"},
               {"labels": ["a=b"]}, {"resources": {}}, {"resources": {"limits": {"cpus": "0.5", "memory": "50M", "pids": 3}}},
               {"resources": {"limits": {"cpus": 1.5}}}, {"resources": {"limits": {"cpus": "x"}}},
               {"resources": {"limits": {"memory": 5}}}, {"resources": {"limits": {"memory": "5x"}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": 2}]}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": "all"}]}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": "x"}]}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "device_ids": ["0"]}]}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "device_ids": ["0"], "count": 1}]}}},
               {"resources": {"reservations": {"devices": [{"count": 1}]}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "driver": "nvidia",
                                                            "options": {"a": "b"}}]}}},
               {"resources": {"reservations": {"generic_resources": [{"discrete_resource_spec": {"kind": "g", "value": 2}}]}}},
               {"restart_policy": {"condition": "on-failure", "delay": "5s", "max_attempts": 3, "window": "120s"}},
               {"restart_policy": {}}, {"restart_policy": {"delay": "0s"}}, {"restart_policy": {"max_attempts": 0}},
               {"update_config": {"parallelism": 0, "delay": "0s", "failure_action": "rollback", "monitor": "1m",
                                  "max_failure_ratio": 0.3, "order": "start-first"}},
               {"update_config": {"order": "bogus"}}, {"rollback_config": {"parallelism": "2"}},
               {"placement": {"constraints": ["node.role==manager"], "preferences": [{"spread": "node.labels.z"}],
                              "max_replicas_per_node": 2}}, {"placement": {}}, {"endpoint_mode": "vip"}, {"x-a": 1}],
    "networks": [["n1"], ["n1", "n2"], {"n1": None}, {"n1": {}}, {"n1": {"aliases": ["x", "y"]}}, {"n1": {"aliases": ["x", "x"]}},
                 {"n1": {"ipv4_address": "10.0.0.2"}}, {"n1": {"ipv6_address": "::2"}}, {"n1": {"link_local_ips": ["1.1.1.1"]}},
                 {"n1": {"mac_address": "02:42:ac:11:65:43"}}, {"n1": {"driver_opts": {"a": 1, "b": "c"}}},
                 {"n1": {"priority": 5, "gw_priority": -3}}, {"n1": {"priority": "5"}}, {"n1": {"interface_name": "eth7"}},
                 ["zz"], [], {}, {"n1": {"bogus": 1}}, ["n1", "n1"], "n1", {"n1": {"priority": 1.7}}, ["default", "n1"]],
    "build": [".", "./sub", {}, {"context": "."}, {"context": "./x", "dockerfile": "D"}, {"dockerfile": "D"},
              {"context": "https://github.com/a/b.git#main:dir"}, {"context": "git@github.com:a/b.git"}, {"context": "~/x"},
              {"dockerfile_inline": "FROM x"}, {"dockerfile_inline": "FROM x", "dockerfile": "D"}, {"args": ["A=1", "B"]},
              {"args": {"A": 1, "B": None, "HOME": None}}, {"args": ["HOME"]}, {"ssh": ["default"]}, {"ssh": "default"},
              {"ssh": ["k"]}, {"labels": {"a": 1}}, {"labels": ["a=b"]}, {"cache_from": ["x"], "cache_to": ["y"]},
              {"cache_from": "x"}, {"no_cache": True}, {"no_cache": "true"}, {"pull": True}, {"target": "t"},
              {"network": "host"}, {"shm_size": "64m"}, {"shm_size": 100}, {"extra_hosts": ["a:1.1.1.1"]},
              {"isolation": "default"}, {"privileged": True}, {"secrets": ["s1"]}, {"secrets": [{"source": "s1", "target": "t"}]},
              {"secrets": ["zz"]}, {"tags": ["a", "b", "a"]}, {"ulimits": {"nofile": 5}}, {"platforms": ["linux/amd64"]},
              {"provenance": True}, {"provenance": "mode=max"}, {"sbom": False}, {"entitlements": ["network.host"]},
              {"additional_contexts": ["a=./x", "b=https://x/y", "c=docker-image://z", "d=service:a"]},
              {"additional_contexts": {"a": "./x"}}, {"additional_contexts": ["a"]}, {"x-a": 1}, {"bogus": 1}, 5, None,
              {"additional_contexts": {"d": "service:zz"}}, {"context": ""}, {"context": "/abs/../x"}],
    "gpus": ["all", [{}], [{"count": 1}], [{"count": "all", "capabilities": ["gpu"]}], [{"device_ids": ["0"], "count": 1}],
             [{"driver": "nvidia", "options": {"a": "b"}}], "some", []],
    "ulimits": [{"nofile": 5}, {"nofile": "5"}, {"nofile": {"soft": 1, "hard": 2}}, {"nofile": {"soft": 1}}, {"NOFILE": 5},
                {"nofile": 0}, {"nofile": {"soft": 0, "hard": 2}}, {"nofile": -1}, {"nofile": {"soft": "1", "hard": "2"}},
                {"nofile": "x"}, {"nofile": 1.5}, {}, {"nofile": {"soft": 1, "hard": 2, "x-a": 1}}],
    "devices": ["/dev/a", "/dev/a:/dev/b", "/dev/a:/dev/b:r", "a:b:c:d", {"source": "/dev/a"}, {"source": "/dev/a", "target": "/b"},
                {"target": "/b"}, {"source": "/a", "target": "/b", "permissions": "rw"}, "vendor.com/class=gpu", ""],
    "secrets": ["s1", {"source": "s1"}, {"source": "s1", "target": "t"}, {"source": "s1", "target": "/t", "uid": "1", "gid": "2",
                "mode": 0o440}, {"source": "s1", "mode": "0440"}, {"source": "s1", "mode": "999"}, {"source": "zz"}, "zz",
                {"target": "t"}, {"source": "s1", "uid": 1}, "s2", {"source": "s1", "mode": 1.5}],
    "configs": ["c1", {"source": "c1", "target": "/t"}, {"source": "c2", "mode": 0o400}, "zz", {"source": "c1"}],
    "env_file": ["e.env", ["e.env"], ["e.env", "f.env"], [{"path": "e.env"}], [{"path": "zz.env", "required": False}], "zz.env",
                 [{"path": "r.env", "format": "raw"}], [{"path": "e.env", "format": "bogus"}], [{"required": True}],
                 [{"path": "e.env", "required": "no"}], ["e.env", "e.env"], [], "sub", ["f.env", "e.env"]],
    "label_file": ["l.lab", ["l.lab"], "zz", []],
    "logging": [{}, {"driver": "json-file"}, {"driver": "json-file", "options": {"max-size": "1m", "max-file": 3, "a": None}},
                {"options": {"a": 1.5}}, {"options": {"a": True}}, {"driver": 5}, {"x-a": 1}],
    "develop": [None, {}, {"watch": []}, {"watch": [{"path": "./x", "action": "sync", "target": "/y"}]},
                {"watch": [{"path": "x", "action": "rebuild"}]}, {"watch": [{"path": "x", "action": "sync"}]},
                {"watch": [{"path": "x", "action": "bogus"}]}, {"watch": [{"path": "", "action": "rebuild"}]},
                {"watch": [{"path": "x", "action": "sync+exec", "target": "/y", "exec": {"command": "a b", "user": "u",
                 "privileged": True, "working_dir": "/w", "environment": ["A=1"]}}]}, {"watch": [{"action": "rebuild"}]},
                {"watch": [{"path": "x", "action": "sync+restart", "target": "/y", "ignore": "n", "include": ["a", "b"],
                 "initial_sync": True}]}],
    "post_start": [[{"command": "a b"}], [{"command": ["a"], "user": "root", "privileged": True, "working_dir": "/",
                   "environment": {"A": 1}}], [{"user": "x"}], [], [{"command": None}], [{"command": "a", "x-a": 1}]],
    "pull_policy": ["always", "never", "missing", "if_not_present", "build", "daily", "weekly", "every_2d", "every_x", "bogus",
                    "refresh", "every_1h30m"],
    "stop_grace_period": ["1m30s", "10", "0s", "1d", "x", 5, "1.5s"],
    "container_name": ["abc", "a", "_a", "a b", "-ab", ""],
    "provider": [{"type": "x"}, {"type": "x", "options": {"a": 1, "b": [1, "c", True], "d": False}}, {"options": {}},
                 {"type": "x", "options": {"a": {"b": 1}}}],
    "models": [["m1"], {"m1": None}, {"m1": {"endpoint_var": "E", "model_var": "M"}}, ["zz"], {"m1": {"bogus": 1}}],
    "blkio_config": [{"weight": 300}, {"weight": "300"}, {"weight_device": [{"path": "/dev/sda", "weight": 400}]},
                     {"device_read_bps": [{"path": "/dev/sda", "rate": "12mb"}]}, {"device_write_iops": [{"path": "/d", "rate": 30}]},
                     {"device_read_iops": [{"rate": 1}]}, {"bogus": 1}, {}, {"device_write_bps": [{"path": "/d", "rate": "x"}]}],
    "network_mode": ["host", "bridge", "none", "service:b", "service:zz", "container:x", "", "bogus"],
    "ipc": ["host", "service:b", "shareable", "service:zz"], "pid": ["host", "service:b", None, "service:zz"],
    "uts": ["host"], "cgroup": ["host", "private", "x"], "cpus": ["0.5", 0.5, 1, 2.0, "x", 0.1, "1e1", 0, 1.123456789, 3.3333333],
    "cpu_percent": [50, "50", 150, 1.5, "x", "12.5"], "cpu_count": [2, "2", -1, 1.5, "2.5"], "cpu_shares": [73, "73", 1.5],
    "pids_limit": [-1, 10, "10", 1.9, 0], "oom_score_adj": [500, -1000, 2000, "5"], "scale": [0, 1, 3, "2", -1, 1.0],
    "restart": ["no", "always", "on-failure", "on-failure:3", "unless-stopped", "bogus", True, ""],
    "links": [["b"], ["b:x"], ["zz"], ["b", "b"], ["b:x:y"]], "volumes_from": [["b"], ["b:ro"], ["container:x"], ["zz"]],
    "external_links": [["x"], ["x:y"], ["x", "x"]], "profiles": [["p"], [], ["p", "p"], ["P_1"], [""], "p"],
    "expose": [["80"], [80], ["80-81"], ["80/udp"], [80, "80"], [80.5], ["x"], []],
    "dns": ["1.1.1.1", ["1.1.1.1", "1.1.1.1"], [""], "", [], ["8.8.8.8"]], "tmpfs": ["/a", ["/a", "/b:size=1m"], ["/a", "/a:x"], []],
    "sysctls": [["a=1"], {"a": 1}, {"a": None}, ["a"], {"a": True}], "cap_add": [["ALL"], ["A", "A"], [], "A", [1]],
    "security_opt": [["a:b"], ["a", "a"], []], "storage_opt": [{"size": "1G"}, {"size": 1}, {"a": 1.5}, {"a": True}, []],
    "extends": ["b", {"service": "b"}, {"service": "zz"}, {"file": "base.yaml", "service": "base"}, {"file": "zz.yaml", "service": "x"},
                {"file": "base.yaml", "service": "zz"}, {"file": "base.yaml"}, "a", {"service": "b", "bogus": 1}],
    "attach": [True, False, "true", "no", "x"], "init": [True, False, "true", "x"], "tty": [True, "on", "x", 1],
    "credential_spec": [{"file": "x"}, {"config": "y"}, {"registry": "z"}, {}, {"bogus": 1}], "use_api_socket": [True, False, "true"],
    "mem_swappiness": [0, 60, "60", "1k"], "hostname": ["h", 1, None], "image": ["x", "x:1@sha256:abc", None, 1, ""],
    "user": ["0", "1000:1000", 0], "annotations": [["a=b"], {"a": 1}, {"a": None}], "group_add": [["g", 1], [1.5], [1, 1]],
    "platform": ["linux/amd64"], "isolation": ["default"], "mac_address": ["02:42:ac:11:65:43"], "runtime": ["runc"],
}
LONG_VOLUMES: list[dict[str, Any]] = [
    {"type": "bind", "source": "./x", "target": "/a"}, {"type": "bind", "target": "/a"}, {"type": "volume", "target": "/a"},
    {"type": "volume", "source": "v1", "target": "/a", "volume": {"nocopy": True, "subpath": "s", "labels": {"a": 1}}},
    {"type": "volume", "source": "v1", "target": "/a", "volume": {"labels": ["a=b"]}}, {"type": "volume", "source": "v1"},
    {"type": "tmpfs", "target": "/a", "tmpfs": {"size": "10m", "mode": 0o1777}}, {"type": "tmpfs", "target": "/a", "tmpfs": {"size": 100}},
    {"type": "tmpfs", "target": "/a", "tmpfs": {"mode": "0770"}}, {"type": "tmpfs", "target": "/a", "tmpfs": {"size": -1}},
    {"type": "image", "source": "i", "target": "/a", "image": {"subpath": "s"}}, {"type": "cluster", "source": "v1", "target": "/a"},
    {"type": "npipe", "source": "\\\\.\\pipe\\x", "target": "/a"}, {"type": "bogus", "target": "/a"}, {"source": "v1", "target": "/a"},
    {"type": "bind", "source": "/x", "target": "/a/", "read_only": True, "consistency": "cached",
     "bind": {"propagation": "rslave", "create_host_path": False, "recursive": "disabled", "selinux": "z"}},
    {"type": "bind", "source": "/x", "target": "/a", "bind": {"create_host_path": "true"}}, {"type": "bind", "source": "~", "target": "/a"},
    {"type": "bind", "source": "/x", "target": "/a", "bind": {"selinux": "q"}}, {"type": "bind", "source": "", "target": "/a"},
    {"type": "bind", "source": "/x", "target": "/a", "read_only": "true", "x-a": 1}, {"type": "volume", "source": "zz", "target": "/a"},
]
LONG_PORTS: list[dict[str, Any]] = [
    {"target": 80}, {"target": "80"}, {"target": 80, "published": 8080}, {"target": 80, "published": "8080-8090"},
    {"target": 80, "published": "8080", "protocol": "udp", "mode": "host", "host_ip": "127.0.0.1", "name": "web",
     "app_protocol": "http"}, {"published": 80}, {"target": 80, "host_ip": "x"}, {"target": 80, "host_ip": "::1"},
    {"target": 80, "x-a": 1}, {"target": 80.5}, {"target": -1}, {"target": 80, "bogus": 1}, {"target": 80, "protocol": "x"},
]
SECTION_VALUES: dict[str, list[Any]] = {
    "networks": [None, {}, {"name": "x"}, {"driver": "bridge", "driver_opts": {"a": 1, "b": "c"}}, {"external": True},
                 {"external": {"name": "x"}}, {"external": "true"}, {"external": {"name": "x"}, "name": "y"}, {"internal": True},
                 {"attachable": "yes"}, {"enable_ipv6": True, "enable_ipv4": False}, {"labels": ["a=b"]}, {"labels": {"a": None}},
                 {"ipam": {}}, {"ipam": {"driver": "default", "config": [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.1",
                  "ip_range": "10.0.0.0/25", "aux_addresses": {"h": "10.0.0.5"}}], "options": {"a": "b"}}},
                 {"ipam": {"config": []}}, {"x-a": 1}, {"bogus": 1}, {"driver": 5}, {"external": True, "driver": "x"}, "x",
                 {"driver_opts": {"a": True}}, {"name": 5}, {"external": False}, {"ipam": {"config": [{"subnet": "10.0.0.0/24",
                  "x-a": 1}]}}],
    "volumes": [None, {}, {"name": "x"}, {"driver": "local", "driver_opts": {"type": "none", "o": "bind", "device": "./d"}},
                {"external": True}, {"external": True, "name": "y"}, {"external": True, "driver": "x"}, {"external": {"name": "x"}},
                {"labels": {"a": 1}}, {"labels": ["a=b"]}, {"x-a": 1}, {"bogus": 1}, "x", {"external": True, "labels": {"a": "b"}},
                {"external": "false"}, {"driver_opts": {"size": 5, "f": 1.5}}, {"external": True, "x-a": 1}],
    "secrets": [{"file": "./s"}, {"file": "~/s"}, {"environment": "HOME"}, {"environment": "NOPE"}, {"external": True},
                {"external": True, "name": "n"}, {"file": "./s", "environment": "X"}, {}, None, {"driver": "x"},
                {"driver": "x", "driver_opts": {"a": "b", "c": 1}}, {"template_driver": "t", "file": "s"}, {"labels": ["a=b"], "file": "s"},
                {"x-a": 1, "file": "s"}, {"bogus": 1}, {"file": 5}, {"name": "n", "file": "s"}, {"external": {"name": "x"}}],
    "configs": [{"file": "./s"}, {"content": "x"}, {"content": "$$x\ny"}, {"environment": "HOME"}, {"environment": "NOPE"},
                {"external": True}, {"file": "./s", "content": "X"}, {}, None, {"template_driver": "t", "file": "s"}, {"name": "n", "file": "s"},
                {"driver": "x"}],
    "models": [{"model": "x"}, {"model": "x", "context_size": 5, "runtime_flags": ["a"]}, {}, None, {"name": "x"}, {"model": "x", "bogus": 1},
               {"model": "x", "context_size": "5"}, {"model": "x", "x-a": 1}],
}
FILES = {"e.env": "A=1\nB=\"two $A\"\n", "f.env": "A=2\nC=${B}-${HOME}\n", "r.env": "A=\"1\"\nB=$A # c\nHOME\n", "l.lab": "a=b\nc=\"d $a\"\n",
         "base.yaml": "services:\n  base: {image: b, volumes: ['./bx:/b', 'v1:/v'], build: ./ctx, env_file: e.env}\n",
         "s1.txt": "s", "c1.txt": "c", "sub/e.env": "Z=1\n"}


class Writer:
    """Numbered directories below one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def case(self, group: str, *documents: Any, args: tuple[str, ...] = ("--format json",), **files: str) -> None:
        self.count += 1
        directory = self.root / f"{group}-{self.count:05d}"
        (directory / "sub").mkdir(parents=True, exist_ok=True)
        for name, text in {**FILES, **{key.replace("__", "."): value for key, value in files.items()}}.items():
            (directory / name).write_text(text)
        for index, document in enumerate(documents):
            text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=1)
            (directory / ("compose.yaml" if index == 0 else f"compose{index}.yaml")).write_text(text)
        listed = "".join(f"-f compose{index or ''}.yaml " for index in range(len(documents)))
        rows = [f"{listed}-p proj -- {row}" for row in args]
        (directory / "args").write_text("\n".join(rows) + "\n")


def project(service: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A file with services a (as given) and b, and everything that they may refer to."""
    return {"services": {"a": {"image": "x", **service}, "b": {"image": "y"}}, **SUPPORT, **sections}


def values_of(name: str) -> list[Any]:
    """What to try for a service's attribute."""
    if name in ("ports", "volumes", "devices", "secrets", "configs"):
        more = {"ports": LONG_PORTS, "volumes": LONG_VOLUMES}.get(name, [])
        return [*([item] for item in [*STRINGS[name], *more]), [], "x"]
    return STRINGS.get(name, ["x", 1, True, ["x"], {"a": "b"}, None])


def properties(schema: dict[str, Any]) -> list[str]:
    return list(schema["definitions"]["service"]["properties"])


def write(root: Path) -> int:
    """All of them; how many."""
    schema = json.loads(SCHEMA.read_text())
    out = Writer(root)
    names = properties(schema)
    for name in names:
        for value in values_of(name):
            out.case(f"attr-{name}", project({name: value}))
        for wrong in (5, 1.5, True, "text", ["item"], {"k": "v"}, None, [], {}, [[]], [{}], [None], ""):
            out.case(f"type-{name}", project({name: wrong}), args=("--format json",))
    for section, values in SECTION_VALUES.items():
        for value in values:
            user = {"networks": {"networks": {"t": None}}, "volumes": {"volumes": ["t:/t"]}, "secrets": {"secrets": ["t"]},
                    "configs": {"configs": ["t"]}, "models": {"models": ["t"]}}[section]
            out.case(f"section-{section}", project(user, **{section: {"t": value}}), args=("--format json", ""))
    _merges(out, names)
    _mutations(out)
    _interpolations(out)
    _texts(out)
    return out.count


def _merges(out: Writer, names: list[str]) -> None:
    chance = random.Random(4)  # noqa: S311
    for name in names:
        values = [value for value in values_of(name) if value is not None]
        pairs = list(itertools.product(values, values))
        for base, over in chance.sample(pairs, min(14, len(pairs))):
            out.case(f"merge-{name}", project({name: base}), {"services": {"a": {name: over}}})
        for base in chance.sample(values, min(3, len(values))):
            out.case(f"extend-{name}", {**project({"extends": "b"}), "services": {
                "a": {"extends": "b", name: chance.choice(values)}, "b": {"image": "y", name: base}}})
            out.case(f"reset-{name}", project({name: base}), f"services:\n  a:\n    {name}: !reset null\n")
            out.case(f"override-{name}", project({name: base}),
                     f"services:\n  a:\n    {name}: !override {json.dumps(chance.choice(values))}\n")
    for section, values in SECTION_VALUES.items():
        for base, over in chance.sample(list(itertools.product(values, values)), 20):
            out.case(f"merge-{section}", {"services": {"a": {"image": "x"}}, section: {"t": base}}, {section: {"t": over}},
                     args=("--format json",))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _places(item, (*path, key))
    return found


def _set(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: _set(value[path[0]], path[1:], new)}
    return [*value[:path[0]], _set(value[path[0]], path[1:], new), *value[path[0] + 1:]]


RICH = project({
    "command": ["a", "b"], "environment": {"A": "1"}, "ports": ["80:80", {"target": 81}], "volumes": ["v1:/a", LONG_VOLUMES[15]],
    "healthcheck": {"test": ["CMD", "x"], "interval": "5s"}, "deploy": STRINGS["deploy"][9], "networks": {"n1": {"aliases": ["q"]}},
    "depends_on": {"b": {"condition": "service_healthy"}}, "build": {"context": ".", "args": {"A": "1"}, "secrets": ["s1"]},
    "logging": {"driver": "json-file", "options": {"a": "b"}}, "secrets": ["s1", {"source": "s2", "target": "t"}],
    "ulimits": {"nofile": {"soft": 1, "hard": 2}}, "develop": STRINGS["develop"][10], "labels": ["a=b"]})


def _mutations(out: Writer) -> None:
    chance = random.Random(5)  # noqa: S311
    junk = [None, 5, -1, 1.5, True, "", "text", "x y", [], {}, ["x"], {"k": "v"}, [[1]], {"image": "x"}, "9" * 30, "$$", "${", "${A:?b}"]
    for path in _places(RICH):
        for new in chance.sample(junk, 4):
            out.case("mutate", _set(RICH, path, new))
    for path in _places(RICH):
        inside = RICH
        for part in path:
            inside = inside[part]
        if isinstance(inside, dict):
            out.case("unknown", _set(RICH, path, {**inside, "unknwon": 1}))
            out.case("extension", _set(RICH, path, {**inside, "x-more": {"a": [1]}}), args=("--format json", ""))


TEMPLATES = [
    "$HOME", "${HOME}", "${HOME:-d}", "${NO:-d}", "${NO-d}", "${E:-d}", "${E-d}", "${NO:?m}", "${NO?m}", "${HOME:?m}", "${E:?m}",
    "${E?m}", "${HOME:+r}", "${HOME+r}", "${NO:+r}", "${NO+r}", "${E:+r}", "${E+r}", "$$HOME", "$${HOME}", "$", "a$", "$1", "${1}",
    "${", "${}", "${A", "${A B}", "${NO:-${HOME}}", "${NO:-${NO2:-x}}", "${NO:-a}b${HOME}", "${NO:-a-b:?c}", "${NO:?}", "${NO:-}",
    "${NO:-{}}", "${NO:-{x}}", "${NO:-$HOME/x}", "${HOME}${HOME}", "$HOME$HOME", "${HOME:-${NO:?x}}", "${no_lower}", "${NO:-a\nb}",
    "${NO:-a}\n${HOME}", "$(x)", "${HOME%x}", "${HOME:x}", "${HOME:-a:b}", "$HOME:x", "%HOME%", "${NO:-}}", "${NO:-$$x}", "$HOME_x", "$_A",
    "${NO:=d}", "${NO=d}", "${HOME//a/b}", "a${NO:-b${E:-c}d}e", "${NO:- }", "${NO:-'q'}", "${NO-}", "$-", "$ {HOME}", "{$HOME}", "${NO:-?}",
]
CAST = {"privileged": ["true", "yes", "x", "", "1"], "cpus": ["0.5", "x", ""], "scale": ["2", "x", "2.5", ""], "init": ["on"],
        "oom_score_adj": ["5", "5.5"], "pids_limit": ["5"], "read_only": ["False"], "tty": ["NO"], "cpu_percent": ["50"]}


def _interpolations(out: Writer) -> None:
    for template in TEMPLATES:
        out.case("interp", project({"command": [template], "labels": {"l": template}}), args=("--format json", "--variables", "--no-interpolate"),
                 **{"__env": "E=\n"})
    for name, values in CAST.items():
        for value in values:
            out.case("cast", project({name: f"${{NO:-{value}}}"}))
    out.case("cast", project({"ports": [{"target": "${NO:-80}"}, "${NO:-81}:${NO:-82}"], "ulimits": {"nofile": "${NO:-5}"}}))


YAMLS = [
    "a: [", "services:\n  a:\n  - b", "services: {a: {image: x, image: y}}", "services:\n\ta: {}", "", "#c\n", "---\n...\n", "null", "[]", "5",
    "services: null", "services: []", "services: {a: null}", "services: {a: x}", "services: {'': {image: x}}", "services: {'a b': {image: x}}",
    "version: '3'\nservices: {a: {image: x}}", "version: 3\nservices: {a: {image: x}}", "name: Foo Bar\nservices: {a: {image: x}}",
    "name: 5\nservices: {a: {image: x}}", "name: ''\nservices: {a: {image: x}}", "x-a: 1\nservices: {a: {image: x}}", "bogus: 1\nservices: {}",
    "x-a: &a {restart: always}\nservices: {a: {<<: *a, image: x}}", "services: {a: {<<: *zz, image: x}}", "services: {a: &a {image: x}, b: *a}",
    "x-a: &a {environment: {A: 1}}\nx-b: &b {environment: {B: 1}}\nservices: {a: {<<: [*a, *b], image: x}}", "services: {a: {image: x, environment: {1: a}}}",
    "services: {a: {image: x, environment: {yes: a, on: b, null: c}}}", "services: {a: {image: x, environment: {A: yes, B: on, C: 0777, D: 0o17, E: 0x1F, F: 1_000}}}",
    "services: {a: {image: x, environment: {A: 1e3, B: .5, C: 1., D: .inf, E: .nan, F: ~, G: 08, H: 1:30, I: '5', J: 0b11}}}",
    "services: {a: {image: x, environment: {A: 2001-01-01}}}", "services: {a: {image: x, ports: [22:22, 1:2]}}", "services:\n  a:\n    image: x\n    command: >\n      a\n      b\n",
    "services:\n  a:\n    image: x\n    command: |\n      a\n      b\n", "services:\n  a:\n    image: x\n    environment:\n      A: |+\n        x\n\n", "services: {a: {image: x}}\n---\nservices: {b: {image: y}}\n",
    "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}", "services: {a: {image: x, depends_on: [a]}}", "services: {a: {}}",
    "services: {a: {image: x, container_name: n}, b: {image: x, container_name: n}}", "services: {a: {image: x, container_name: nn, scale: 2}}",
    "services: {a: {image: x, profiles: [p], depends_on: [b]}, b: {image: x}}", "services: {a: {image: x, depends_on: [b]}, b: {image: x, profiles: [p]}}",
    "services: {a: {image: x, tmpfs: /t, volumes: ['/t']}}", "services: {a: {image: x, network_mode: host, networks: [default]}}", "services: {a: {image: x, network_mode: host, ports: ['80:80']}}",
    "services: {a: {image: x, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}}", "services: {a: {image: x, mem_limit: 1g, deploy: {resources: {limits: {memory: 1g}}}}}",
    "services: {a: {image: x, cpus: 1, deploy: {resources: {limits: {memory: 1g}}}}}", "services: {a: {image: x, scale: 2, deploy: {replicas: 3}}}", "services: {a: {image: x, scale: 2, deploy: {mode: x}}}",
    "services: {a: {image: x, platform: linux/amd64, build: {context: ., platforms: [linux/arm64]}}}", "include: [sub/e.env]\nservices: {}", "include: base.yaml\n", "include: [base.yaml]\nvolumes: {v1: }\n",
    "include: [{path: base.yaml, project_directory: sub}]\nvolumes: {v1: }\n", "include: [{path: [base.yaml], env_file: e.env}]\nvolumes: {v1: }\n", "include: [compose.yaml]\n", "include: [zz.yaml]\n",
    "include: [{path: base.yaml, bogus: 1}]\nvolumes: {v1: }\n", "include: [base.yaml]\nservices: {base: {image: other}}\nvolumes: {v1: }\n", "include: [{env_file: x}]\n", "services: {a: {image: x, x-b: {c: 1}}}\nx-d: [1, {e: f}]\n",
    "networks: {default: {name: custom}}\nservices: {a: {image: x}}", "networks: {default: {external: true, name: z}}\nservices: {a: {image: x}}", "volumes: {unused: }\nservices: {a: {image: x}}", "services:\n  a: {image: \"x\\\n    y\"}\n",
    "%YAML 1.1\n---\nservices: {a: {image: x}}", "services: {a: {image: !!str 5, hostname: !custom h}}", "services: {a: {image: x, labels: !reset {}}}", "services: {a: {image: x, ports: !override ['80']}}", "\ufeffservices: {a: {image: x}}",
    "services: {a: {image: é, hostname: ü}}", "services: {\"a\": {\"image\": \"\\u00e9\\x41\"}}", "services: {a: {image: x, command: 'it''s'}}", "services: {a.b-c_D9: {image: x}}", "? services\n: {a: {image: x}}",
]
FLAGS = ("", "--services", "--volumes", "--networks", "--images", "--profiles", "--hash *", "--no-normalize", "--no-path-resolution", "--no-consistency", "--no-interpolate",
         "--no-env-resolution", "--no-interpolate --format json", "--format json --no-normalize", "--variables", "--variables --format json", "--environment", "-q", "--models", "a", "zz", "--format xml", "--hash a",
         "--no-interpolate --no-normalize --format json", "--no-path-resolution --format json", "--format json a b", "--images b", "--services --no-interpolate")
STRINGS_FOR_YAML = ["", " ", "a: b", "a #b", "#a", "- a", "-", "?", ":", "a:", "'", '"', "it's", '"q"', "true", "yes", "null", "~", "1", "1.5", "0x1", "1e3", "2001-01-01", "a\nb", "a\nb\n", "\na",
                    "a\n\n", " a\nb", "\t", "a\tb", "é", "\u2028", "\x07", "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "a, b", "x" * 200, "a " * 60, "=", "<<", ".", "...", "---", "--- a", "a\\b", "on", "12:30", "1:2:3",
                    "😀", "a\r\nb", "trailing ", "  lead", ",a", "a}", "0o7", "0777", "+1", "-1", ".5", "_1", "1_0", "=a", "a=b c", "NO", "n"]


def _texts(out: Writer) -> None:
    for text in YAMLS:
        out.case("yaml", text, args=("--format json", ""))
    for flag in FLAGS:
        out.case("flags", RICH, args=(flag,))
        out.case("flags", project({"profiles": ["p"], "env_file": "e.env", "label_file": "l.lab", "environment": ["Q=$HOME"]}), args=(flag,))
    for text in STRINGS_FOR_YAML:
        out.case("dump", project({"environment": {"K": text}, "labels": {text or "k": "v"} if text.isprintable() else {}}), args=("",))


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
