#!/usr/bin/env python3
"""The whole job with a Python client that was generated from the service's document: registers loaded, an epoch cut
over, a stock confirmed, households asked about alone, together and in the background, receipts found in the log.

    generated_client.py VOORRANG OPENAPI_PYTHON_CLIENT FOLDER

What makes codes and opens salts stays with `voorrang`: no service and no client of another language has the salt.
"""

import base64
import hashlib
import hmac
import io
import json
import os
import pathlib
import ssl
import subprocess
import sys
import time
import uuid

import service
from service import CARE, CORPORATION, DEMO, EPOCH, OFFICER, POPULATION

voorrang, generator, folder = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
running = service.Service(voorrang, folder)
OWN_KEY = os.urandom(32)


def generate():
    """Makes the client and puts it where Python finds it."""
    document = running.folder / "openapi.json"
    document.write_text(running.run("openapi").stdout)
    config = pathlib.Path(__file__).with_name("generator.yaml")
    command = [generator, "generate", "--path", document, "--meta", "none", "--config", config,
               "--output-path", running.folder / "voorrang_client"]
    environment = {**os.environ, "PATH": f"{generator.parent}:{os.environ['PATH']}"}
    made = subprocess.run(command, capture_output=True, text=True, env=environment)
    if made.returncode or "WARNING" in made.stdout:
        sys.exit(f"no client was generated: {made.stdout}{made.stderr}")
    sys.path.insert(0, str(running.folder))


generate()
from voorrang_client import Client  # noqa: E402
from voorrang_client.api.access_log import get_checkpoint, get_entries, get_proof  # noqa: E402
from voorrang_client.api.loads import begin_load, commit_load, get_load, put_chunk  # noqa: E402
from voorrang_client.api.epochs import activate_epoch, get_epoch, get_reports  # noqa: E402
from voorrang_client.api.questions import (  # noqa: E402
    ask_priorities, ask_priority, begin_batch, cancel_batch, commit_batch, get_batch, get_service, ping,
    put_questions)
from voorrang_client.api.regulations import confirm_proposal, get_proposals  # noqa: E402
from voorrang_client.models import (  # noqa: E402
    Activation, Batch, BatchCommit, BatchPlan, LoadCommit, LoadPlan, Problem, Question)
from voorrang_client.types import File  # noqa: E402


def party(name):
    """A connection of a party."""
    tls = ssl.create_default_context(cafile=running.keys / "ca.pem")
    tls.load_cert_chain(running.keys / f"{name}.pem", running.keys / f"{name}.key")
    return Client(base_url=running.url, verify_ssl=tls, raise_on_unexpected_status=True)


def good(response):
    """What a success says; anything else ends the test."""
    if isinstance(response.parsed, Problem) or response.status_code >= 300:
        sys.exit(f"{response.status_code}: {response.content.decode()}")
    return response.parsed


def encoded(party_name, kind, file, day):
    """Codes of a file, header taken off, as lines."""
    envelope, lines = running.folder / f"{party_name}.envelope", running.folder / f"{kind}.ndjson"
    if not envelope.exists():
        running.run("epoch", "fetch", EPOCH, "--config", running.config(party_name), "-o", envelope)
    running.run("encode", kind, DEMO / file, "--envelope", envelope, "--identity", running.keys / f"{party_name}.age",
                "--parties", running.keys / "parties.toml", "--reference-date", day, "-o", lines)
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    header = records[0].pop("header")
    header.pop("mac")  # of the file, for who holds the salt
    return header, records


def load(party_name, source, file, day):
    """Begun twice under one key, sent in two chunks, each twice under one, asked about, committed twice under one."""
    header, records = encoded(party_name, source, file, day)
    for record in records:
        # The custodian's own number stays with the custodian.
        record["id"] = base64.b64encode(hmac.digest(OWN_KEY, record["id"].encode(), "sha256")[:16]).decode()
    client = party(party_name)
    plan = {"header": header, "source": source, "records": len(records), "referenceDate": day}
    if source == "population":
        plan["ages"] = {"minorBelow": 18, "seniorFrom": 65}
    plan = LoadPlan.from_dict(plan)
    keys = [uuid.uuid4().hex, uuid.uuid4().hex]
    begun = [good(begin_load.sync_detailed(client=client, body=plan, idempotency_key=keys[0])) for _ in range(2)]
    assert begun[0] == begun[1], "the same load"
    name, half = begun[0].load, len(records) // 2
    for number, part in enumerate((records[:half], records[half:])):
        lines = "\n".join(map(json.dumps, part)).encode()
        key = uuid.uuid4().hex
        kept = [good(put_chunk.sync_detailed(name, number, client=client, body=File(io.BytesIO(lines)),
                                             idempotency_key=key)) for _ in range(2)]
        assert kept[0] == kept[1] and kept[0].digest == base64.b64encode(hashlib.sha256(lines).digest()).decode()
    assert [chunk.records for chunk in good(get_load.sync_detailed(name, client=client)).chunks] == [
        half, len(records) - half]
    commit = LoadCommit(chunks=2)
    reports = [good(commit_load.sync_detailed(name, client=client, body=commit, idempotency_key=keys[1]))
               for _ in range(2)]
    assert reports[0].records == len(records) and reports[0].receipt.index == reports[1].receipt.index


def question(header, tenants):
    return {"header": header, "purpose": "eviction-prevention", "arrears": {"months": 2},
            "conditions": {"personalContact": True, "helpOffered": True, "reminderSent": True, "noObjection": True},
            "address": next((one["address"] for one in tenants if "address" in one), None),
            "tenants": [{"codes": one["codes"]} for one in tenants]}


def confirm(officer, kind):
    """The one act of this kind that waits, confirmed twice under one key."""
    waiting, = [one for one in good(get_proposals.sync_detailed(client=officer)) if one.kind == kind]
    key = uuid.uuid4().hex
    return [good(confirm_proposal.sync_detailed(waiting.proposal, client=officer, idempotency_key=key))
            for _ in range(2)]


def in_the_background(client, header, asked):
    """A batch begun, sent, committed, waited for and read; another one cancelled."""
    plan = BatchPlan.from_dict({"header": header, "purpose": "eviction-prevention", "questions": len(asked)})
    begun, other = [good(begin_batch.sync_detailed(client=client, body=plan)).batch for _ in range(2)]
    lines = "\n".join(map(json.dumps, asked)).encode()
    good(put_questions.sync_detailed(begun, 0, client=client, body=File(io.BytesIO(lines))))
    good(commit_batch.sync_detailed(begun, client=client, body=BatchCommit(chunks=1)))
    while (view := good(get_batch.sync_detailed(begun, client=client))).state == "answering":
        time.sleep(0.05)
    assert (view.state, view.answered, view.refused) == ("done", len(asked), 0), view
    assert good(cancel_batch.sync_detailed(other, client=client)).state == "cancelled"
    # The generator takes lines for one document, so they are read from its own connection.
    results = client.get_httpx_client().get(f"/question-batches/{begun}/results")
    assert results.status_code == 200
    return [json.loads(line)["answered"] for line in results.content.splitlines()]


running.start()
try:
    officer = party(OFFICER)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    law = running.keys / "regulations" / "haarlem"
    administrator = running.config(service.ADMINISTRATOR)
    running.confirm(running.run("regulation", "activate", law, "--config", administrator))
    running.run("epoch", "new", EPOCH, "--config", administrator)
    for one in (POPULATION, CARE):
        running.run("epoch", "contribute", EPOCH, "--config", running.config(one))
    load(POPULATION, "population", "brp.csv", day)
    load(CARE, "care", "oggz.csv", day)
    manager = party(service.ADMINISTRATOR)
    assert good(get_epoch.sync_detailed(EPOCH, client=manager)).state == "loading"
    active = activate_epoch.sync_detailed(EPOCH, client=manager, body=Activation())
    assert good(active).state == "active", active
    assert len(good(get_reports.sync_detailed(EPOCH, client=officer))) == 2
    # Its filter is made with the salt.
    running.propose_stock()
    confirm(officer, "stock")

    ymere = party(CORPORATION)
    assert ping.sync_detailed(client=ymere).status_code == 204
    assert [epoch.state for epoch in good(get_service.sync_detailed(client=ymere)).epochs] == ["active"]
    header, tenants = encoded(CORPORATION, "tenants", "huurders.csv", day)
    family = [one for one in tenants if one["id"].startswith("K0000037/")]
    asked, key = Question.from_dict(question(header, family)), uuid.uuid4().hex
    answers = [good(ask_priority.sync_detailed(client=ymere, body=asked, idempotency_key=key)) for _ in range(2)]
    assert answers[0].answer == "priority", answers[0].answer
    assert answers[0].receipt.index == answers[1].receipt.index, "one entry and one charge"
    batch = Batch.from_dict({"questions": [question(header, family)] * 2})
    assert [one.answered.answer for one in good(ask_priorities.sync_detailed(client=ymere, body=batch)).answers] == [
        "priority"] * 2
    others = [[one for one in tenants if one["id"].startswith(f"{contract}/")] for contract in ("K0000046", "K0000051")]
    told = in_the_background(ymere, header, [question(header, people) for people in others])
    assert [one["answer"] for one in told][0] == "no_priority" and len(told) == 2, told
    bad = Question.from_dict({**question(header, family), "tenants": []})
    refused = ask_priority.sync_detailed(client=ymere, body=bad)
    assert refused.status_code == 400 and refused.parsed.errors[0].pointer == "/tenants", refused

    index = answers[0].receipt.index
    proof = get_proof.sync_detailed(index, client=ymere)
    assert proof.status_code == 200 and f"index {index}\n".encode() in proof.content
    page = good(get_entries.sync_detailed(client=officer, from_=index))
    leaf = hashlib.sha256(b"\0" + base64.b64decode(page.entries[0])).digest()
    assert base64.b64encode(leaf).decode() == answers[0].receipt.leaf, "the entry is the receipt's"
    size = int(get_checkpoint.sync_detailed(client=officer).content.split(b"\n")[1])
    assert size > index
    print(f"a generated client loaded 2 registers, asked 6 questions and found its receipt among {size} entries")
finally:
    running.stop()
