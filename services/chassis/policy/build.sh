#!/usr/bin/env bash
# Compiles lampid.rego to policy.wasm with the OPA version named here; the same input gives the same bytes.
# usage: build.sh [OUTPUT]   (default: policy.wasm beside this script)
set -euo pipefail
version=1.22.0
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/policy.wasm}
bin=${LAMPID_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/lampid-engines}/bin
opa=$bin/opa-$version
if [ ! -x "$opa" ]; then
  command -v go >/dev/null || { echo "policy: OPA $version is needed, and go (>= 1.24) to install it" >&2; exit 1; }
  mkdir -p "$bin"
  stage=$(mktemp -d "$bin/.opa.XXXXXX")
  trap 'rm -rf "$stage"' EXIT
  GOBIN=$stage GOFLAGS=-buildvcs=false go install "github.com/open-policy-agent/opa@v$version"
  mv "$stage/opa" "$opa"
fi
work=$(mktemp -d)
trap 'rm -rf "$work" "${stage:-$work}"' EXIT
cp "$here/lampid.rego" "$work/"
(cd "$work" && "$opa" build -t wasm -e lampid/authz/decision lampid.rego -o bundle.tar.gz && tar xzPf bundle.tar.gz --transform "s,^/,," /policy.wasm)
install -m 644 "$work/policy.wasm" "$output"
