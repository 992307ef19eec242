#!/usr/bin/env python3
"""Has packaging/systemd/fetch-crls fetch lists of all kinds from a server on this machine, and the service read what it
took and what it refused.

    check.py VOORRANG OUT

Certificates of development have no lists; an authority of openssl's beside them does."""

import datetime
import fcntl
import http.server
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import threading
import time

VOORRANG, OUT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "packaging/systemd/fetch-crls"
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
NOW = datetime.datetime.now(datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR


def demand(holds, what):
    if not holds:
        sys.exit(f"crls: {what}")


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True)
    demand(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr.decode()}")
    return done.stdout


class Authority:
    def __init__(self, name, subject):
        self.folder = OUT / name
        self.folder.mkdir()
        self.certificate, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-keyout",
                self.key, "-out", self.certificate, "-subj", subject, "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-addext", "basicConstraints=critical,CA:true")
        (self.folder / "index").touch()
        self.number = 1

    def list(self, made=NOW - HOUR, ends=NOW + DAY, extensions="", version=2):
        """A list in DER."""
        self.number += 1
        digits = f"{self.number:x}"
        (self.folder / "number").write_text("0" * (len(digits) % 2) + digits + "\n")
        crl = "crl_extensions = extensions\ncrlnumber = number\n" if version == 2 else ""
        (self.folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = index\ndefault_md = sha256\n{crl}"
            f"[extensions]\nauthorityKeyIdentifier = keyid\n{extensions}\n")
        stamp = "%Y%m%d%H%M%SZ"
        subprocess.run(["openssl", "ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.pem", "-out",
                        "list.pem", "-crl_lastupdate", made.strftime(stamp), "-crl_nextupdate", ends.strftime(stamp)],
                       cwd=self.folder, check=True, capture_output=True)
        return openssl("crl", "-in", self.folder / "list.pem", "-outform", "DER")


def pem(list_):
    (OUT / "some.der").write_bytes(list_)
    return openssl("crl", "-in", OUT / "some.der", "-inform", "DER")


class Server(http.server.BaseHTTPRequestHandler):
    # What the paths have: bytes, and how many more are announced than sent. Or an address to go to. Or, a number, in how
    # many seconds to come again.
    has = {}

    def do_GET(self):
        found = self.has.get(self.path)
        if isinstance(found, str):
            self.send_response(302)
            self.send_header("Location", found)
            self.end_headers()
            return
        if isinstance(found, int):
            self.send_response(503)
            self.send_header("Retry-After", str(found))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200 if found else 404)
        body, more = found or (b"", 0)
        self.send_header("Content-Length", str(len(body) + more))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_port}/list"

ours, namesake = Authority("ours", "/CN=Lists of ours"), Authority("namesake", "/CN=Lists of ours")
stranger = Authority("stranger", "/CN=Somebody else")
lists = OUT / "lists"
lists.mkdir()
place, configuration = lists / "ours.pem", OUT / "crls.conf"
LOCK = lists / ".lock"
own_line = f"{place} {URL} {ours.certificate}\n"
# A stranger whom the system trusts is a stranger all the same.
trusted = OUT / "trusted"
trusted.mkdir()
shutil.copy(stranger.certificate, trusted)
openssl("rehash", trusted)


def fetch(text=own_line, serve=None, more=0, path=os.environ["PATH"]):
    configuration.write_text(text)
    if serve is not None:
        Server.has["/list"] = (serve, more)
    done = subprocess.run([SCRIPT, configuration], capture_output=True, text=True, timeout=100,
                          env={**os.environ, "SSL_CERT_DIR": str(trusted), "http_proxy": "", "HTTP_PROXY": "",
                               "PATH": path})
    demand(done.stdout == "", f"it says on standard output: {done.stdout}")
    hidden = {path.name for path in lists.iterdir() if path.name.startswith(".")}
    demand(hidden <= {LOCK.name}, f"it leaves a file behind: {hidden}")
    return done.returncode, done.stderr


def content():
    return place.read_bytes() if place.exists() else None


def taken(serve, what):
    before = place.stat().st_ino if place.exists() else None
    code, said = fetch(serve=serve)
    demand(code == 0 and "taken" in said, f"{what}: {code}, {said}")
    demand(place.stat().st_ino != before, f"{what}: it was written over, not replaced at once")
    demand(stat.S_IMODE(place.stat().st_mode) == 0o644, f"{what}: the service cannot read it")


refusals = 0


def refused(why, what, serve=None, more=0):
    global refusals
    refusals += 1
    before = content()
    code, said = fetch(serve=serve, more=more)
    demand(code == 1 and why in said, f"{what}: {code}, {said}")
    demand(content() == before, f"{what}: what was there is gone")


keys = OUT / "keys"
subprocess.run([VOORRANG, "pki", "dev", "--out", keys], check=True, capture_output=True)
with (keys / "ca.pem").open("a") as roots:
    roots.write(ours.certificate.read_text())
config = (keys / "voorrang.toml").read_text()
demand("without_crls = true" in config and "crls = []" in config, "development has lists now: use them")
config = config.replace("without_crls = true", "").replace("crls = []", f'crls = ["{place}"]')


def serves(list_=None):
    """Whether the service can use this list, or the one that is there, and takes it for one of the authority."""
    if list_ is not None:
        (OUT / "other.pem").write_bytes(list_)
    text = config if list_ is None else config.replace(str(place), str(OUT / "other.pem"))
    (keys / "lists.toml").write_text(text)
    said = subprocess.run([VOORRANG, "doctor", "--json", "--config", keys / "lists.toml"], capture_output=True, text=True)
    found = {one["code"]: one for one in json.loads(said.stdout)["findings"] if one["about"] == "tls"}
    # The root of development has none.
    others = found.get("revocation_lists_of_others", {}).get("detail", "")
    return "revocation_lists_serve" in found and " 1 of the 2 authorities" in others


# Without any list, what is wrong is refused too.
refused("404", "nothing is there", serve=None)
refused("no list", "an empty list where none was", b"\n")
first = ours.list(made=NOW - 3 * HOUR)
taken(first, "the first list, in DER")
demand(content() == pem(first), "what is there is not the list in PEM")
demand(serves(), "the service does not take it")
code, said = fetch()
demand(code == 0 and "as it was" in said, f"the same list once more: {code}, {said}")
second = ours.list(made=NOW - 2 * HOUR)
taken(pem(second), "a newer list, in PEM")
# The service would refuse what stands behind a list.
demand(not serves(second + b"\0"), "the service takes bytes behind a list")
third = ours.list(made=NOW - HOUR)
taken(third + b"\0", "a newer list with something behind it")
demand(content() == pem(third) and serves(), "what stood behind it is there too")

refused("was made at", "an older list", second)
refused("was made at", "the first list again", pem(first))
# At the same time the number counts, as for the service. They have up to twenty bytes: 0x99 is before 0x100.
same = NOW - HOUR * 3 / 4
ours.number = 0x98
earlier = ours.list(made=same)
ours.number = 0xff
later = ours.list(made=same)
taken(later, "a list of higher number")
refused("older number", "a list of the same time and a lower number", earlier)
ours.number = 0x7f << 152
highest = ours.list(made=same)
taken(highest, "a list of the same time and a number of twenty bytes")
refused("older number", "a list of the same time and a number of two bytes", later)
ours.number = 0x100

refused("it ended at", "a list that has ended", ours.list(ends=NOW - HOUR / 2))
refused("it begins at", "a list of tomorrow", ours.list(made=NOW + 6 * HOUR))
refused("not signed", "a stranger's list", stranger.list())
refused("not signed", "the list of a namesake", namesake.list())
fresh = ours.list(made=NOW - HOUR / 2)
flipped = bytearray(fresh)
flipped[len(flipped) // 2] ^= 1
refused("refused", "a list with another bit", bytes(flipped))
refused("no list", "half a list", fresh[:len(fresh) // 2])
refused("no list", "half a list in PEM", pem(fresh)[:len(pem(fresh)) // 2])
refused("not fetched", "a list whose end does not come", fresh[:-9], more=9)
refused("no list", "a page", b"<!doctype html><title>Down</title>")
refused("no list", "nothing", b"")
delta = ours.list(extensions="2.5.29.27 = critical,ASN1:INTEGER:1")
refused("delta", "a delta list", delta)
indirect = ours.list(extensions="issuingDistributionPoint = critical,@idp\n[idp]\nfullname = URI:http://a.example/l\n"
                     "indirectCRL = TRUE")
refused("part", "an indirect list", indirect)
unnamed = ours.list(extensions="issuingDistributionPoint = critical,@idp\n[idp]\nonlyuser = TRUE")
refused("no name", "a list of a part without a name", unnamed)
# Another extension has a name of a place too.
elsewhere = ours.list(extensions="issuingDistributionPoint = critical,@idp\nfreshestCRL = URI:http://a.example/delta\n"
                      "[idp]\nonlyuser = TRUE")
refused("no name", "a list of a part without a name, and the place of a delta list", elsewhere)
critical = ours.list(extensions="1.2.3.4 = critical,ASN1:NULL")
refused("critical", "a list with an extension that nobody knows", critical)
old_kind = ours.list(version=1)
refused("version 1", "a list of version 1", old_kind)
kinds = {"delta": delta, "indirect": indirect, "unnamed": unnamed, "unnamed, with a place": elsewhere,
         "critical": critical, "version 1": old_kind}
for name, list_ in kinds.items():
    demand(not serves(list_), f"the service takes what is refused here: {name}")
part = ours.list(made=NOW - HOUR * 2 / 3,
                 extensions="issuingDistributionPoint = critical,@idp\n[idp]\nfullname = URI:http://a.example/l\n"
                 "onlyuser = TRUE")
taken(part, "a list of a part that has a name")
demand(serves(), "the service does not take it")
Server.has["/list"] = f"file://{OUT}/some.der"
refused("not fetched", "a list from this machine's files")
(OUT / "some.der").write_bytes(fresh)
Server.has["/elsewhere"] = (fresh, 0)
Server.has["/list"] = URL.replace("/list", "/elsewhere")
code, said = fetch()
demand(code == 0 and content() == pem(fresh), f"a list that has moved: {code}, {said}")
server_gone = own_line.replace(f":{server.server_port}/", ":1/")
demand(fetch(server_gone)[0] == 1 and content() == pem(fresh), "a server that is gone")

# What is there and is no list of the authority closes the door; any good list takes its place.
for broken in (b"", pem(fresh)[:40], pem(stranger.list())):
    place.write_bytes(broken)
    taken(first, "a list in the place of a broken one")

# A faulty line holds none of the others up, and is heard.
place.unlink()
for wrong in (f"{place} {URL}", f"list.pem {URL} {ours.certificate}", f"{place} file:///list {ours.certificate}",
              f"{place} {URL} {OUT}/nobody.pem", f"{place} {URL} {ours.certificate} more"):
    code, said = fetch(f"# Lists.\n{wrong}\n\n{own_line}", serve=fresh)
    demand(code == 2 and content() == pem(fresh), f"beside a line that is wrong: {code}, {said}")
demand(fetch("# None yet.\n")[0] == 2, "a configuration without a list is well")
demand(subprocess.run([SCRIPT, OUT / "nowhere.conf"], capture_output=True).returncode == 2, "without a configuration")
# Which one the list would have to be of, nobody knows.
bundle = OUT / "bundle.pem"
for order in ((ours, stranger), (stranger, ours)):
    bundle.write_text("".join(authority.certificate.read_text() for authority in order))
    for one in order:
        place.unlink(missing_ok=True)
        code, said = fetch(f"{place} {URL} {bundle}\n", serve=one.list())
        demand(code == 2 and "more than one certificate" in said and not place.exists(), f"a bundle: {code}, {said}")

# Folders are the business of whoever owns them, and root follows nothing that others put there.
taken(ours.list(made=NOW - HOUR / 4), "the first list once more")
victim = OUT / "victim"
victim.write_text("mine")
for planted in (".ours.pem.new", ".new"):
    (lists / planted).symlink_to(victim)
configuration.write_text(own_line)
Server.has["/list"] = (ours.list(made=NOW - HOUR / 5), 0)
code = subprocess.run([SCRIPT, configuration], capture_output=True).returncode
demand(code == 0 and victim.read_text() == "mine", "a link is followed")
for planted in (".ours.pem.new", ".new"):
    demand((lists / planted).is_symlink(), "a link is taken away")
    (lists / planted).unlink()
if os.geteuid() == 0:
    os.chown(lists, 65534, -1)
    before = content()
    code, said = fetch(serve=ours.list(made=NOW - HOUR / 6))
    demand(code == 1 and "run it as that user" in said and content() == before, f"root in another's folder: {code}, {said}")
    os.chown(lists, 0, -1)

# Two runs, one after the other. Others can hold the configuration, and hold nothing up by it.
demand(stat.S_IMODE(LOCK.stat().st_mode) == 0o600, "others can hold the lock")
begun = time.monotonic()
with configuration.open() as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    taken(ours.list(made=NOW - HOUR / 7), "a list beside somebody who holds the configuration")
demand(time.monotonic() - begun < 20, "somebody who holds the configuration holds the lists up")
with LOCK.open() as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    timer = threading.Timer(1, fcntl.flock, (held, fcntl.LOCK_UN))
    begun = time.monotonic()
    timer.start()
    taken(ours.list(made=NOW - HOUR / 8), "a list beside another run")
    demand(time.monotonic() - begun > 0.9, "it does not wait for another run")
    timer.join()
    # A minute is a second here.
    (OUT / "bin").mkdir()
    (OUT / "bin/flock").write_text(f"#!/bin/sh\n[ \"$*\" = '-w 60 8' ] && exec {shutil.which('flock')} -w 1 8\n")
    (OUT / "bin/flock").chmod(0o755)
    fcntl.flock(held, fcntl.LOCK_EX)
    before = content()
    code, said = fetch(serve=ours.list(made=NOW - HOUR / 9), path=f"{OUT}/bin:{os.environ['PATH']}")
    demand(code == 1 and "within a minute" in said and content() == before, f"a run that does not end: {code}, {said}")

# A server that says when to come again holds up no other.
other = lists / "other.pem"
Server.has["/list/later"] = 3600
begun = time.monotonic()
code, said = fetch(f"{other} {URL}/later {stranger.certificate}\n{own_line}", serve=ours.list(made=NOW - HOUR / 10))
demand(code == 1 and "503" in said and "ours.pem: taken" in said, f"a server that is busy: {code}, {said}")
demand(time.monotonic() - begun < 20, "a server that is busy holds the others up")
code, said = fetch(f"{other} {URL}/none {stranger.certificate}\n{own_line.strip()}", serve=ours.list(made=NOW - HOUR / 11))
demand(code == 1 and "ours.pem: taken" in said and not other.exists(), f"one of two lists: {code}, {said}")
server.shutdown()
print(f"crls: newer, moved and broken ones replaced; {refusals} refusals, and what was there stays")
