#!/usr/bin/env bash
# The alarms, the dashboard and the service's numbers, as Prometheus reads them. Arguments: the program, promtool, a
# folder to work in.
set -euo pipefail
cd "$(dirname "$0")/../.."
voorrang="$(realpath "$1")"
promtool="$(realpath "$2")"
folder="$(realpath -m "$3")"
rm -rf "$folder"
mkdir -p "$folder"

service=
trap '[ -z "$service" ] || kill "$service"' EXIT
fail() {
  echo "prometheus: $1" >&2
  exit 1
}

alarms=packaging/prometheus/alerts.yml
"$promtool" check rules "$alarms"
cp "$alarms" tests/prometheus/alarms.yml "$folder"
# Each alarm where all is well, and where it is raised.
while read -r alarm; do
  [ "$(grep -cE "alertname: $alarm\b" tests/prometheus/alarms.yml)" -ge 2 ] || fail "$alarm is not tried both ways"
done < <(sed -n 's/^ *- alert: //p' "$alarms")
"$promtool" test rules "$folder/alarms.yml"
# The control: an alarm that is never raised.
sed -i 's/writes_refused == 1/writes_refused == 2/' "$folder/alerts.yml"
if "$promtool" test rules "$folder/alarms.yml" >/dev/null 2>&1; then fail "an alarm is never raised, and that passes"; fi

python3 - packaging/grafana/voorrang.json >"$folder/dashboard.yml" <<'PYTHON'
import json, sys
shown = [target["expr"] for panel in json.load(open(sys.argv[1]))["panels"] for target in panel.get("targets", [])]
assert len(shown) > 8, shown
rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(shown)]
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
"$promtool" check rules "$folder/dashboard.yml"

# The numbers themselves, behind a question that was refused and somebody who was not let in.
"$voorrang" pki dev --out "$folder/keys" --service localhost:0 2>/dev/null
: >"$folder/log"
"$voorrang" serve --config "$folder/keys/voorrang.toml" 2>"$folder/log" &
service=$!
port() { sed -n "s/.*$1=127.0.0.1:\([0-9]*\).*/\1/p" "$folder/log"; }
for _ in $(seq 100); do
  [ -z "$(port address)" ] || break
  sleep 0.1
done
url="https://localhost:$(port address)/v1/priority-questions"
ask() { curl --silent --output /dev/null --cacert "$folder/keys/ca.pem" "$@" --json '{}' "$url"; }
ask --cert "$folder/keys/ymere.pem" --key "$folder/keys/ymere.key"
! ask || fail "somebody without a certificate was let in"
curl --silent --fail "http://localhost:$(port internal)/metrics" >"$folder/metrics"
"$promtool" check metrics <"$folder/metrics"
# The labels by which the alarms and the dashboard choose.
for series in 'voorrang_requests_total{.*status="4' 'voorrang_request_seconds_bucket{route="/v1/priority-questions"' \
  'voorrang_finding{code="no_epoch",grade="warning"}' 'voorrang_refused_total{code="'; do
  grep -q "^$series" "$folder/metrics" || fail "there is no $series: $(grep -v '^#' "$folder/metrics")"
done
echo "numbers: $(grep -c '^# TYPE' "$folder/metrics") names"
