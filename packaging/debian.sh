#!/usr/bin/env bash
# The Debian package of a program that is built, and its bill of materials (CycloneDX):
#   packaging/debian.sh [PROGRAM [FOLDER]]
# Needs dpkg-deb, dpkg-shlibdeps (dpkg-dev), strip and xz; cargo-deb and cargo-cyclonedx it builds, once. What it made is unpacked and looked at as dpkg would
# install it; the first thing that is not as it should be ends it.
set -euo pipefail
cd "$(dirname "$0")/.."

program="$(realpath "${1:-target/release/voorrang}")"
out="${2:-target/debian}"
assets=target/debian-assets

fail() {
  echo "debian: $1" >&2
  exit 1
}

tools="$PWD/target/tools"
PATH="$tools/bin:$PATH"
for tool in cargo-deb@3.8.0 cargo-cyclonedx@0.5.9; do
  # Unoptimised: built in minutes, they run for seconds.
  [ -x "$tools/bin/${tool%@*}" ] || cargo install --quiet --locked --debug --root "$tools" "$tool"
done

rm -rf "$assets"
mkdir -p "$assets" "$out"
strip -o "$assets/voorrang" "$program"
"$program" man -o "$assets/man1"
gzip -9n "$assets"/man1/*
"$program" completions bash >"$assets/voorrang.bash"
"$program" completions zsh >"$assets/_voorrang"
"$program" completions fish >"$assets/voorrang.fish"
# The shipped configuration, with the folders that the unit gives the service: commands run by hand find them too.
sed -e 's#^state = .*#state = "/var/lib/voorrang"#' \
  -e 's#^epoch_keys = .*#epoch_keys = "/var/lib/voorrang-epochs"#' \
  -e 's#^anchor = .*#anchor = "/var/lib/voorrang-anchor/checkpoint"#' config/default.toml >"$assets/voorrang.toml"
# Written beside Cargo.toml; it names the folder in which it was made, which is nobody's business.
cargo cyclonedx --quiet --format json --spec-version 1.5 --override-filename voorrang.cdx
sed -e "s#file://$PWD#file:///voorrang#g" voorrang.cdx.json >"$assets/voorrang.cdx.json"
rm voorrang.cdx.json
python3 - "$assets/voorrang.cdx.json" Cargo.lock <<'PYTHON'
import json, re, sys
bill = json.load(open(sys.argv[1]))
named = {(part["name"], part["version"]) for part in bill["components"]}
locked = set(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', open(sys.argv[2]).read()))
if bill["bomFormat"] != "CycloneDX" or len(named) < 100 or not named <= locked:
    sys.exit("debian: the bill of materials does not fit Cargo.lock")
unlicensed = [part["name"] for part in bill["components"] if not part.get("licenses")]
if unlicensed:
    sys.exit(f"debian: without a licence in the bill of materials: {unlicensed}")
print(f"bill of materials: {len(named)} crates")
PYTHON

cargo deb --quiet --no-build --no-strip --compress-system --output "$out/voorrang.deb"

root="$out/root"
rm -rf "$root"
dpkg-deb -R "$out/voorrang.deb" "$root"
is() {
  [ -f "$root/$1" ] || fail "$1 is missing"
  [ "$(stat -c %a "$root/$1")" = "$2" ] || fail "$1 has mode $(stat -c %a "$root/$1") and not $2"
}
is usr/bin/voorrang 755
is etc/voorrang/voorrang.toml 644
is usr/lib/systemd/system/voorrang.service 644
is usr/share/bash-completion/completions/voorrang 644
is usr/share/zsh/vendor-completions/_voorrang 644
is usr/share/fish/vendor_completions.d/voorrang.fish 644
is usr/share/doc/voorrang/operations.md 644
is usr/share/doc/voorrang/voorrang.cdx.json 644
for page in voorrang voorrang-serve voorrang-doctor voorrang-backup voorrang-restore voorrang-epoch-new; do
  is "usr/share/man/man1/$page.1.gz" 644
done
[ "$("$root/usr/bin/voorrang" --version)" = "$("$program" --version)" ] || fail "the program in it is another one"
grep -qx /etc/voorrang/voorrang.toml "$root/DEBIAN/conffiles" || fail "the configuration would be overwritten"
# Keys and state are made on the machine, by systemd (StateDirectory=, mode 0700) and by whoever gets certificates.
[ ! -e "$root/var" ] || fail "it brings a state folder"
if find "$root" -name '*.key' -o -name '*.pem' -o -name '*.db' | grep .; then fail "it brings a key"; fi
# Every comment of the shipped file is in it, and the program reads it: what it misses is certificates, nothing else.
[ "$(grep -c '^#' "$root/etc/voorrang/voorrang.toml")" = "$(grep -c '^#' config/default.toml)" ] ||
  fail "its configuration has lost comments"
"$program" doctor --json --config "$root/etc/voorrang/voorrang.toml" >"$out/doctor.json" 2>/dev/null || true
python3 - "$out/doctor.json" <<'PYTHON'
import json, sys
found = {one["code"]: one["grade"] for one in json.load(open(sys.argv[1]))["findings"]}
if found.get("configuration") != "fine" or "tls_files" not in found:
    sys.exit(f"debian: the shipped configuration is not read as it should be: {found}")
PYTHON
# The unit finds the program where the package puts it.
systemd-analyze verify --root="$root" --man=no voorrang.service 2>&1 | grep "/usr/bin/voorrang" && fail "the unit does not find the program"
dpkg-deb -I "$out/voorrang.deb" | sed -n 's/^ *\(Package\|Version\|Architecture\|Depends\|Installed-Size\)/\1/p'
echo "$out/voorrang.deb: $(find "$root" -type f | wc -l) files, $(stat -c %s "$out/voorrang.deb") bytes"
