#!/usr/bin/env bash
# A new certificate and a new key under the conditions of the unit (packaging/systemd/voorrang.service): a user without
# a name, in a user namespace, to whom only a group lets the key be read. Needs root, because it gives files away.
#   tests/tls/reload.sh VOORRANG     the program
set -euo pipefail
voorrang="$(realpath "$1")"
folder="$(mktemp -d)"
service=
trap '[ -z "$service" ] || kill "$service" 2>/dev/null || true; rm -rf "$folder"' EXIT
# Neither is anybody's here.
user=61001 group=61002

fail() {
  echo "reload: $1" >&2
  cat "$folder/log" >&2
  exit 1
}
# Waits until the service has said it.
said() {
  for _ in $(seq 100); do
    if grep -q "$1" "$folder/log"; then return; fi
    sleep 0.1
  done
  fail "it does not say: $1"
}
shown() { python3 -c "import ssl; print(ssl.get_server_certificate(('127.0.0.1', $port)))"; }
# A pair as docs/operations.md has it put in place; "key" alone is half a change.
put() {
  install -m 640 -o root -g "$group" "$folder/$1/server.key" "$folder/etc/server.key"
  [ "${2:-}" = key ] || install -m 644 "$folder/$1/server.pem" "$folder/etc/server.pem"
}

chmod 755 "$folder"
touch "$folder/log"
install -d -o "$user" -m 700 "$folder/var"
for pair in old new; do "$voorrang" pki dev --out "$folder/$pair" >/dev/null 2>&1; done
install -d -m 755 "$folder/etc"
install -m 644 "$folder/old/ca.pem" "$folder/etc/"
cp -r "$folder/old/regulations" "$folder/etc/"
sed -e 's|^state = .*|state = "../var/state"|' -e 's|^epoch_keys = .*|epoch_keys = "../var/epoch-keys"|' \
  -e 's|^anchor = .*|anchor = "../var/anchor/checkpoint"|' -e 's|^listen = "127.*|listen = "127.0.0.1:0"|' \
  -e 's|^reload_seconds = .*|reload_seconds = 60|' "$folder/old/voorrang.toml" >"$folder/etc/voorrang.toml"
put old

apart=(setpriv --reuid="$user" --regid="$user" --no-new-privs --inh-caps=-all --bounding-set=-all)
"${apart[@]}" --groups="$group" unshare --user true 2>/dev/null && spaces=(unshare --user) || spaces=()
if "${apart[@]}" --clear-groups "${spaces[@]}" cat "$folder/etc/server.key" >/dev/null 2>&1; then
  fail "the key can be read without the group: this proves nothing"
fi
cd "$folder/var"
"${apart[@]}" --groups="$group" "${spaces[@]}" "$voorrang" serve --config "$folder/etc/voorrang.toml" 2>"$folder/log" &
service=$!
said "the service listens"
port="$(sed -n 's/.*the service listens.* address=127\.0\.0\.1:\([0-9]*\).*/\1/p' "$folder/log")"
before="$(shown)"
put new key
kill -HUP "$service"
said "do not work together"
[ "$(shown)" = "$before" ] || fail "half a change is shown"
put new
kill -HUP "$service"
said "were read anew"
[ "$(shown)" = "$(cat "$folder/new/server.pem")" ] || fail "the new certificate is not shown"
echo "a new certificate and key, by reload, without a right to change either: taken"
