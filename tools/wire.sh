#!/bin/bash
# Makes the Python code of src/solva/buildkit/wire.proto. An old generator on purpose: what it makes runs with
# every protobuf runtime from 4.25 on, while new ones tie their output to their own version.
set -eu
cd "$(dirname "$0")/../src/solva/buildkit"
python3 -m venv "${TMPDIR:-/tmp}/solva-wire"
"${TMPDIR:-/tmp}/solva-wire/bin/pip" install -q 'grpcio-tools==1.62.3' 'setuptools<80'
"${TMPDIR:-/tmp}/solva-wire/bin/python" -m grpc_tools.protoc -I . --python_out=. --pyi_out=. wire.proto
