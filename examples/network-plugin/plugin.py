#!/usr/bin/env python3
"""A complete network plugin for Solva and Docker: each network is a bridge of its own, each container a port of it.

    plugin.py [SOCKET]        the default is /run/docker/plugins/lan.sock; the file's name is the driver's name
"""
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer

MTU = "com.docker.network.driver.mtu"


def ip(*words, check=True):
    """iproute2; what it says becomes the plugin's refusal."""
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise ValueError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def bridge(body):
    return "lan-" + body["NetworkID"][:10]


def port(body):
    """The two ends of an endpoint's link: outside, inside."""
    return "lp-" + body["EndpointID"][:10], "lc-" + body["EndpointID"][:10]


def create_network(body):
    options = body["Options"].get("com.docker.network.generic") or {}
    unknown = sorted(set(options) - {MTU})
    if unknown:
        raise ValueError(f"unknown option {unknown[0]}; there is {MTU}")
    ip("link", "add", bridge(body), "mtu", options.get(MTU, "1500"), "type", "bridge")
    ip("link", "set", bridge(body), "up")


def delete_network(body):
    ip("link", "del", bridge(body), check=False)


def create_endpoint(body):
    """The engine's address management has chosen the address; nothing is to be decided here."""
    return {"Interface": {}}


def join(body):
    """Make the link. The engine moves its inner end into the container, names it, sets address and routes; and because
    there is no Gateway in the answer, it gives the container a second interface as the way out."""
    outer, inner = port(body)
    ip("link", "add", outer, "type", "veth", "peer", "name", inner)
    ip("link", "set", outer, "master", bridge(body), "up")
    return {"InterfaceName": {"SrcName": inner, "DstPrefix": "eth"}}


def delete_endpoint(body):
    ip("link", "del", port(body)[0], check=False)      # with its peer, wherever that is


METHODS = {
    "Plugin.Activate": lambda body: {"Implements": ["NetworkDriver"]},
    "NetworkDriver.GetCapabilities": lambda body: {"Scope": "local", "ConnectivityScope": "local"},
    "NetworkDriver.CreateNetwork": create_network,
    "NetworkDriver.DeleteNetwork": delete_network,
    "NetworkDriver.CreateEndpoint": create_endpoint,
    "NetworkDriver.DeleteEndpoint": delete_endpoint,
    "NetworkDriver.EndpointOperInfo": lambda body: {"Value": {}},
    "NetworkDriver.Join": join,
    "NetworkDriver.Leave": lambda body: {},
}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        method = METHODS.get(self.path[1:])
        try:
            answer = (method(body) or {}) if method else {"Err": f"{self.path[1:]} is not done here"}
        except (ValueError, KeyError) as error:
            answer = {"Err": str(error)}
        self.send_response(200 if method else 404)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        print(self.path, flush=True)


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "/run/docker/plugins/lan.sock"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    Server(path, Handler).serve_forever()
