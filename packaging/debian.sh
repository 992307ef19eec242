#!/usr/bin/env bash
# The Debian package and its bill of materials (CycloneDX):
#   packaging/debian.sh                      builds the program, with the list of its crates in it
#   packaging/debian.sh PROGRAM [FOLDER]     takes one that is built so, as ./check does
#   packaging/debian.sh --tools [TOOL]       makes ready what it needs, or this one of it, and no package
# Needs dpkg-deb, dpkg-shlibdeps (dpkg-dev), strip and objcopy (binutils), xz and systemd; cargo-deb, cargo-cyclonedx
# and cargo-auditable it builds, once. What it made is unpacked and looked at, and as root also installed, upgraded and
# purged in a folder; the first thing that is not as it should be ends it.
set -euo pipefail
cd "$(dirname "$0")/.."

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
out="${2:-$target/debian}"
# Cargo.toml names this folder.
assets=target/debian-assets

fail() {
  echo "debian: $1" >&2
  exit 1
}

tools="$target/tools"
PATH="$tools/bin:$PATH"
for tool in cargo-auditable@0.7.7 cargo-deb@3.8.0 cargo-cyclonedx@0.5.9; do
  if [ "${1:-}" = --tools ] && [ "${2:-${tool%@*}}" != "${tool%@*}" ]; then continue; fi
  # Unoptimised: built in a minute or two, they run for seconds.
  [ -x "$tools/bin/${tool%@*}" ] || CARGO_TARGET_DIR="$tools/build" \
    cargo install --quiet --locked --debug --root "$tools" --version "${tool#*@}" "${tool%@*}"
done
rm -rf "$tools/build"
[ "${1:-}" != --tools ] || exit 0
if [ "$#" -eq 0 ]; then
  cargo auditable build --quiet --locked --release
fi
program="$(realpath "${1:-$target/release/voorrang}")"

rm -rf "$assets"
mkdir -p "$assets" "$out"
strip -o "$assets/voorrang" "$program"
rm -f "$out/crates.zlib"
# What `cargo audit bin` reads, behind strip.
objcopy --dump-section .dep-v0="$out/crates.zlib" "$assets/voorrang" "$out/copy" || true
rm -f "$out/copy"
[ -s "$out/crates.zlib" ] || fail "the program does not hold the list of its crates: cargo auditable build --locked --release"
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
host="$(rustc --version --verbose | sed -n 's/^host: //p')"
cargo metadata --format-version 1 --locked --filter-platform "$host" >"$out/metadata.json"
# The bill names what is in the program or built it, each once: all that cargo reaches without tests.
python3 - "$assets/voorrang.cdx.json" "$out/metadata.json" "$out/crates.zlib" <<'PYTHON'
import json, pathlib, sys, zlib
bill, metadata = (json.load(open(path)) for path in sys.argv[1:3])
named = [(part["name"], part["version"]) for part in bill["components"]]
nodes = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
reached, ahead = set(), [metadata["resolve"]["root"]]
while ahead:
    one = ahead.pop()
    if one not in reached:
        reached.add(one)
        ahead += [dep["pkg"] for dep in nodes[one] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
reached.remove(metadata["resolve"]["root"])
used = sorted((one["name"], one["version"]) for one in metadata["packages"] if one["id"] in reached)
if bill["bomFormat"] != "CycloneDX" or sorted(named) != used:
    sys.exit(f"debian: the bill of materials is not what the program is made of: {set(named) ^ set(used)}")
unlicensed = [part["name"] for part in bill["components"] if not part.get("licenses")]
if unlicensed:
    sys.exit(f"debian: without a licence in the bill of materials: {unlicensed}")
print(f"bill of materials: {len(named)} crates")
crates = json.loads(zlib.decompress(pathlib.Path(sys.argv[3]).read_bytes()))["packages"]
listed = sorted((one["name"], one["version"]) for one in crates if not one.get("root"))
if listed != used:
    sys.exit(f"debian: the list in the program is not what it is made of: {set(listed) ^ set(used)}")
print(f"list in the program: {len(listed)} crates")
PYTHON

# What nobody is to download need not be small.
[ "$#" -eq 0 ] && squeezed=--compress-system || squeezed=--fast
cargo deb --quiet --no-build --no-strip "$squeezed" --output "$out/voorrang.deb"

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
is usr/lib/systemd/system/voorrang-crls.service 644
is usr/lib/systemd/system/voorrang-crls.timer 644
is usr/lib/voorrang/fetch-crls 755
is etc/voorrang/crls.conf 644
is usr/lib/sysusers.d/voorrang.conf 644
is usr/share/bash-completion/completions/voorrang 644
is usr/share/zsh/vendor-completions/_voorrang 644
is usr/share/fish/vendor_completions.d/voorrang.fish 644
is usr/share/doc/voorrang/operations.md 644
is usr/share/doc/voorrang/voorrang.cdx.json 644
for page in voorrang voorrang-serve voorrang-doctor voorrang-backup voorrang-restore voorrang-epoch-new; do
  is "usr/share/man/man1/$page.1.gz" 644
done
[ "$("$root/usr/bin/voorrang" --version)" = "$("$program" --version)" ] || fail "the program in it is another one"
for file in voorrang.toml crls.conf; do
  grep -qx "/etc/voorrang/$file" "$root/DEBIAN/conffiles" || fail "the configuration would be overwritten: $file"
done
# Until somebody names lists, there are none to fetch.
status=0
said="$("$root/usr/lib/voorrang/fetch-crls" "$root/etc/voorrang/crls.conf" 2>&1)" || status=$?
if [ "$status" -ne 2 ] || ! grep -q "names no list" <<<"$said"; then
  fail "the shipped lists are not read as they should be: $said"
fi
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
# The units are well, and find their programs where the package puts them. The folder has none of the system's own units
# and programs.
said="$(systemd-analyze verify --root="$root" --man=no voorrang.service voorrang-crls.service voorrang-crls.timer 2>&1 |
  grep -Ev 'Unit [a-z]+\.target not found\.$|/bin/kill is not executable' || true)"
[ -z "$said" ] || fail "systemd does not take a unit: $said"

# Installed, upgraded and purged in a folder: of this machine dpkg touches nothing, its scripts hear the folder's name.
if [ "$(id -u)" -eq 0 ]; then
  there="$(realpath "$out")/installed"
  rm -rf "$there"
  mkdir -p "$there/etc" "$there/var/lib/dpkg/info" "$there/var/lib/dpkg/updates"
  touch "$there/var/lib/dpkg/status"
  into() {
    dpkg --root="$there" --force-script-chrootless --force-depends --force-confold --log=/dev/null "$@" \
      >"$out/dpkg.txt" 2>&1 || fail "dpkg $1 does not end well: $(cat "$out/dpkg.txt")"
  }
  into --install "$out/voorrang.deb"
  [ "$("$there/usr/bin/voorrang" --version)" = "$("$program" --version)" ] || fail "what is installed does not run"
  grep -q '^voorrang-tls:[^:]*:[0-9]*:$' "$there/etc/group" || fail "the private key's group is missing, or not empty"
  grep -q '^voorrang-crls:.*nologin$' "$there/etc/passwd" || fail "who fetches the lists is missing, or can log in"
  [ -z "$(find "$there/etc" -name '*.wants')" ] || fail "it starts before there are certificates"
  echo '# mine' >>"$there/etc/voorrang/voorrang.toml"
  touch "$there/etc/voorrang/server.key"
  into --install "$out/voorrang.deb"
  grep -qx '# mine' "$there/etc/voorrang/voorrang.toml" || fail "an upgrade overwrites the configuration"
  into --purge voorrang
  left="$(find "$there" -path "$there/var" -prune -o -type f -name '*voorrang*' -print)"
  [ -z "$left" ] || fail "a purge leaves $left"
  [ -f "$there/etc/voorrang/server.key" ] || fail "a purge takes a key that it did not bring"
  lived="; installed, upgraded and purged in a folder"
fi
dpkg-deb -I "$out/voorrang.deb" | sed -n 's/^ *\(Package\|Version\|Architecture\|Depends\|Installed-Size\)/\1/p'
echo "$out/voorrang.deb: $(find "$root" -type f | wc -l) files, $(stat -c %s "$out/voorrang.deb") bytes${lived:-}"
