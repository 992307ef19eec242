#!/usr/bin/env bash
# What scanners say of the service's TLS: sslyze against the NCSC's guideline of 2025-05 (ncsc-tls-2025-05.json), also on
# the document's listener, sslscan, and testssl.sh on both, with TLS 1.3 alone and with 1.2 allowed. Fails on anything
# that they find.
#   tests/tls/scan.sh VOORRANG FOLDER     the program; a folder for keys, Python packages and reports
set -euo pipefail
voorrang="$(realpath "$1")"
folder="$2"
here="$(realpath "$(dirname "$0")")"
service=
trap '[ -z "$service" ] || kill "$service"' EXIT

mkdir -p "$folder"
folder="$(realpath "$folder")"
if [ "$("$folder/python/bin/sslyze" --help 2>/dev/null | grep -c custom_tls_config)" -eq 0 ]; then
  python3 -m venv "$folder/python"
  "$folder/python/bin/pip" install --quiet sslyze==6.3.1
fi

# sslyze on a port, with TLS 1.2 or not, and with whatever else it is told.
scan() {
  local port="$1" tls12="$2"
  shift 2
  # It exits with 1 on whatever the guideline does not allow.
  if ! "$folder/python/bin/sslyze" "$@" \
    --custom_tls_config "$here/ncsc-tls-2025-05.json" --certinfo --certinfo_ca_file "$ca" --sslv2 --sslv3 --tlsv1 \
    --tlsv1_1 --tlsv1_2 --tlsv1_3 --elliptic_curves --early_data --resum --reneg --compression --heartbleed \
    --openssl_ccs --robot --fallback --ems --json_out "$folder/sslyze.json" "localhost:$port" \
    >"$folder/sslyze.txt" 2>"$folder/sslyze.err"; then
    cat "$folder/sslyze.txt" "$folder/sslyze.err" >&2
    exit 1
  fi
  # What the guideline leaves open and we do not.
  python3 - "$folder/sslyze.json" "$tls12" <<'PYTHON'
import json, sys
report, tls12 = json.load(open(sys.argv[1])), sys.argv[2] == "true"
scan = report["server_scan_results"][0]["scan_result"]
def result(name):
    assert scan[name]["status"] == "COMPLETED", (name, scan[name]["error_reason"])
    return scan[name]["result"]
def accepted(name):
    return [suite["cipher_suite"]["name"] for suite in result(name)["accepted_cipher_suites"]]
for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]:
    assert not accepted(old + "_cipher_suites"), old
assert accepted("tls_1_3_cipher_suites")
assert bool(accepted("tls_1_2_cipher_suites")) == tls12
assert not result("tls_1_3_early_data")["supports_early_data"]
assert not result("tls_compression")["supports_compression"]
resumed = result("session_resumption")
assert resumed["session_id_successful_resumptions_count"] == 0, "a session was resumed"
assert resumed["tls_ticket_successful_resumptions_count"] == 0, "a ticket was taken"
assert not result("heartbleed")["is_vulnerable_to_heartbleed"]
assert not result("openssl_ccs_injection")["is_vulnerable_to_ccs_injection"]
assert not result("session_renegotiation")["is_vulnerable_to_client_renegotiation_dos"]
print("sslyze: compliant with the NCSC profile; no resumption, no early data, TLS 1.2:", tls12)
PYTHON
}

# testssl.sh on a port, with TLS 1.2 or not: protocols, suites, forward secrecy, every vulnerability that it knows.
probe() {
  rm -f "$folder/testssl.json"
  # Its exit code counts what is only noted.
  testssl --quiet --color 0 --warnings off -p -s -f -U --jsonfile "$folder/testssl.json" "localhost:$1" \
    >"$folder/testssl.txt" || true
  python3 - "$folder/testssl.json" "$2" <<'PYTHON'
import json, sys
report, tls12 = json.load(open(sys.argv[1])), sys.argv[2] == "true"
# Its own engine is no word on the service. With TLS 1.2 it ends these without a word because it cannot show a certificate:
# there sslyze, which can, looks at compression and renegotiation.
blind = ["engine_problem", "optimal_proto"] + ["pre_128cipher", "secure_client_renego", "CRIME_TLS", "BREACH"] * tls12
bad = [one for one in report if one["severity"] not in ("OK", "INFO", "DEBUG") and one["id"] not in blind]
assert not bad, bad
found = {one["id"]: one["finding"] for one in report}
for old in ["SSLv2", "SSLv3", "TLS1", "TLS1_1"] + ([] if tls12 else ["TLS1_2"]):
    assert found[old].startswith("not offered"), (old, found[old])
assert found["TLS1_3"].startswith("offered") and found["PFS"].startswith("offered")
looked = ["heartbleed", "CCS", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "fallback_SCSV",
          "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"]
assert not [one for one in looked if one not in found], "something was not looked at"
print(f"testssl.sh: nothing found of {len(looked)} vulnerabilities, TLS 1.2: {tls12}")
PYTHON
}

for tls12 in false true; do
  rm -rf "$folder/keys"
  "$voorrang" pki dev --out "$folder/keys" --service localhost:0 2>/dev/null
  : >"$folder/log"
  VOORRANG_TLS__TLS12=$tls12 "$voorrang" serve --config "$folder/keys/voorrang.toml" 2>"$folder/log" &
  service=$!
  for _ in $(seq 100); do
    port="$(sed -n 's/.*address=127.0.0.1:\([0-9]*\).*/\1/p' "$folder/log")"
    [ -z "$port" ] || break
    sleep 0.1
  done
  [ -n "$port" ] || { cat "$folder/log" >&2; exit 1; }
  ca="$folder/keys/ca.pem"
  card=("$folder/keys/ymere.pem" "$folder/keys/ymere.key")

  scan "$port" "$tls12" --cert "${card[0]}" --key "${card[1]}"
  # The listener of the document, which asks for no certificate and speaks TLS 1.3 only.
  documentation="$(sed -n 's/.*documentation=127.0.0.1:\([0-9]*\).*/\1/p' "$folder/log")"
  scan "$documentation" false

  sslscan --no-colour --certs="${card[0]}" --pk="${card[1]}" "localhost:$port" >"$folder/sslscan.txt"
  if grep -E '(SSLv[23]|TLSv1\.[01]) +enabled' "$folder/sslscan.txt" || grep -qE 'vulnerable to heartbleed' \
    <(grep -v 'not vulnerable' "$folder/sslscan.txt"); then
    echo "sslscan found what stands above" >&2
    exit 1
  fi
  [ "$tls12" = true ] || ! grep -E 'TLSv1\.2 +enabled' "$folder/sslscan.txt"
  echo "sslscan: $(grep -cE '^(Accepted|Preferred)' "$folder/sslscan.txt") suites, none of an old version"

  probe "$port" "$tls12"
  probe "$documentation" false
  kill "$service"
  wait "$service" || true
  service=
done
