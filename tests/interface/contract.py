#!/usr/bin/env python3
"""Has schemathesis look for requests that the service answers otherwise than its document says, once in every role, with
requests among them that can be done.

    contract.py VOORRANG SCHEMATHESIS FOLDER SECONDS [PARTY...]
"""

import os
import pathlib
import secrets
import subprocess
import sys

import requests_made
import service

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = {"administrator": "administrator", "population custodian": "population", "care custodian": "care",
           "corporation": "corporation", "privacy officer": "officer", "district team": "team"}
voorrang, schemathesis, folder, seconds, *parties = sys.argv[1:]
seed = str(int(os.environ.get("SEED") or secrets.randbelow(2**32)))
running = service.Service(voorrang, folder).start()

failed = []
try:
    running.fill()
    document = running.folder / "openapi.json"
    document.write_text(running.run("openapi").stdout)
    requests_made.all_of_them(running, document)
    for role, party in service.ROLES.items():
        if parties and party not in parties:
            continue
        print(f"== schemathesis as {role}, {seconds} s, SEED={seed}", flush=True)
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "ROLE": COLUMNS[role],
                       "CONTRACT": str(running.folder)}
        keys = running.keys
        command = [pathlib.Path(schemathesis).resolve(), "--config-file", HERE / "schemathesis.toml", "run", document,
                   "--url", running.url, "--tls-verify", keys / "ca.pem", "--request-cert", keys / f"{party}.pem",
                   "--request-cert-key", keys / f"{party}.key", "--max-time", seconds, "--seed", seed, "--no-color"]
        if subprocess.run(command, cwd=running.folder, env=environment).returncode:
            failed.append(role)
finally:
    running.stop()
if failed:
    sys.exit(f"schemathesis found something with SEED={seed} as " + ", ".join(failed))
