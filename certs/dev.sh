#!/usr/bin/env bash
# Makes development certificates, keys and configuration files for every party. They are for this machine only.
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:-certs/dev}"
exec cargo run --release --quiet -- pki dev --out "$out"
