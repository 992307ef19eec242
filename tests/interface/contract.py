#!/usr/bin/env python3
"""Has schemathesis look for requests that the service answers otherwise than its document says, once in every role.

    contract.py VOORRANG SCHEMATHESIS FOLDER SECONDS [PARTY...]
"""

import os
import pathlib
import subprocess
import sys

import service

HERE = pathlib.Path(__file__).resolve().parent
voorrang, schemathesis, folder, seconds, *parties = sys.argv[1:]
running = service.Service(voorrang, folder).start()
os.environ["SCHEMATHESIS_HOOKS"] = "hooks"
os.environ["PYTHONPATH"] = str(HERE)
failed = []
try:
    running.fill()
    document = running.folder / "openapi.json"
    document.write_text(running.run("openapi").stdout)
    for role, party in service.ROLES.items():
        if parties and party not in parties:
            continue
        print(f"== schemathesis as {role}", flush=True)
        keys = running.keys
        command = [pathlib.Path(schemathesis).resolve(), "--config-file", HERE / "schemathesis.toml", "run", document,
                   "--url", running.url, "--tls-verify", keys / "ca.pem", "--request-cert", keys / f"{party}.pem",
                   "--request-cert-key", keys / f"{party}.key", "--max-time", seconds, "--seed", "1", "--no-color"]
        if subprocess.run(command, cwd=running.folder).returncode:
            failed.append(role)
finally:
    running.stop()
if failed:
    sys.exit("schemathesis found something as " + ", ".join(failed))
