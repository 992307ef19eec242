"""A service with development keys and the demonstration's register, as a process of its own, for tests that are not Rust."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "config" / "demo"
ADMINISTRATOR = "ict-dienst-kennemerland"
POPULATION = "gemeente-haarlem-burgerzaken"
CARE = "sociaal-wijkteam-en-zorgnetwerk-haarlem"
CORPORATION = "ymere"
CORPORATION_OIN = "00000099000000004001"
TEAM = "sociaal-wijkteam-haarlem"
OFFICER = "functionaris-gegevensbescherming-van-de-gemeente"
ROLES = {
    "administrator": ADMINISTRATOR,
    "population custodian": POPULATION,
    "care custodian": CARE,
    "corporation": CORPORATION,
    "privacy officer": OFFICER,
    "district team": TEAM,
}
EPOCH = "haarlem-1"


def free_port():
    """A port on which, and on the next, nobody listens now."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with contextlib.suppress(OSError):
                two.bind(("127.0.0.1", port + 1))
                return port


class Service:
    def __init__(self, voorrang, folder):
        self.voorrang, self.folder = str(pathlib.Path(voorrang).resolve()), pathlib.Path(folder).resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.keys, self.port = self.folder / "keys", free_port()
        self.url = f"https://localhost:{self.port}/v1"
        self.documentation = f"https://localhost:{self.port + 1}/v1/openapi.json"
        self.folder.mkdir(parents=True)
        self.run("pki", "dev", "--out", self.keys, "--service", f"localhost:{self.port}")
        self.extend()
        self.process = None

    def extend(self):
        """The shipped regulation may have ended when somebody runs this."""
        law = self.keys / "regulations" / "haarlem"
        text = (law / "regulation.toml").read_text()
        text = text.replace("valid_from = 2025-07-01", "valid_from = 2020-01-01")
        (law / "regulation.toml").write_text(text.replace("valid_until = 2027-07-01", "valid_until = 2999-01-01"))
        (law / "signatures.note").unlink()
        for key in sorted(self.keys.glob("*.note")):
            self.run("regulation", "sign", law, "--config", self.config(key.stem))

    def config(self, party):
        return self.keys / f"{party}.toml"

    def run(self, *arguments):
        done = subprocess.run([self.voorrang, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"voorrang {' '.join(map(str, arguments))}: {done.stderr}")
        return done

    def day(self):
        """Today, by the service's clock."""
        return time.strftime("%Y-%m-%d", time.gmtime())

    def ask(self, party, path):
        """What the interface tells a party."""
        tls = ssl.create_default_context(cafile=self.keys / "ca.pem")
        tls.load_cert_chain(self.keys / f"{party}.pem", self.keys / f"{party}.key")
        with urllib.request.urlopen(f"{self.url}/{path}", context=tls) as answer:
            return json.load(answer)

    def start(self):
        self.log = open(self.folder / "service.log", "a")
        command = [self.voorrang, "serve", "--config", self.keys / "voorrang.toml"]
        # Programs that try everything earn refusals and leave records all the time; that both are bounded is tested
        # elsewhere.
        limits = {f"VOORRANG_LIMITS__{kind}_PER_MINUTE_EACH": "1000000" for kind in ("REFUSALS", "RECORDS")}
        environment = {**os.environ, **limits}
        self.process = subprocess.Popen(command, stderr=self.log, env=environment)
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("localhost", self.port), 1):
                return self
            if self.process.poll() is not None:
                raise SystemExit(f"the service ended: {(self.folder / 'service.log').read_text()}")
            time.sleep(0.1)
        raise SystemExit("the service does not listen")

    def fill(self):
        """Regulation in force, an epoch that answers, registers, a housing stock."""
        law = self.keys / "regulations" / "haarlem"
        self.confirm(self.run("regulation", "activate", law, "--config", self.config(ADMINISTRATOR)))
        self.run("epoch", "new", EPOCH, "--config", self.config(ADMINISTRATOR))
        for party in (POPULATION, CARE):
            self.run("epoch", "contribute", EPOCH, "--config", self.config(party))
        day = self.day()
        for kind, party, file in (("population", POPULATION, "brp.csv"), ("care", CARE, "oggz.csv")):
            self.run("load", kind, DEMO / file, "--reference-date", day, "--config", self.config(party))
        self.run("epoch", "activate", EPOCH, "--config", self.config(ADMINISTRATOR))
        self.stock()

    def stock(self):
        """The housing stock of the corporation, confirmed by the officer."""
        self.confirm(self.propose_stock())

    def propose_stock(self):
        stock = self.folder / "stock.csv"
        rows = (DEMO / "huurders.csv").read_text().splitlines()
        stock.write_text("\n".join([rows[0], *(row for row in rows[1:] if row.split(",")[2] == "C1")]) + "\n")
        return self.run("load", "stock", stock, "--dwellings", "1400", "--config", self.config(CORPORATION))

    def confirm(self, proposed):
        name = next(line.split()[3] for line in proposed.stderr.splitlines() if "regulation confirm" in line)
        self.run("regulation", "confirm", name, "--config", self.config(OFFICER))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
