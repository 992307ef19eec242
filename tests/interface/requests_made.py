"""Requests that can be done, made of what the program itself would send, one for each operation; each in the role that may
do it, held against the document by schemathesis. What they made is there for the requests that it makes up."""

import base64
import csv
import json

import schemathesis
from schemathesis.checks import CHECKS

import service

# Operations that nobody is answered with success here, and why. tests/api does them.
NEVER = {
    "PUT /epochs/{epoch}/share": "a share is a file sealed with age",
    "PUT /epochs/{epoch}/participants/{oin}": "all shares are sealed again for a key",
    "POST /epochs/{epoch}/activate": "the epoch would need registers of its own",
    "POST /epochs/{epoch}/destroy": "its grace would have to end first",
    "POST /regulations/{regulation}/activate": "the version is in force already",
    "GET /access-log/tile/{kind}/{place}": "the name of a tile that is not full has a slash",
}
# In this order: what one makes the next one needs.
STEPS = {
    service.CORPORATION: [
        "GET /ping", "GET /service", "GET /openapi.json", "POST /priority-questions", "POST /priority-batches",
        "POST /question-batches", "PUT /question-batches/{batch}/chunks/{number}", "POST /question-batches/{batch}/commit",
        "GET /question-batches", "GET /question-batches/{batch}", "GET /question-batches/{batch}/results", "DELETE /question-batches/{batch}",
        "PUT /stock"],
    service.TEAM: ["POST /group-questions"],
    service.CARE: ["POST /loads", "PUT /loads/{load}/chunks/{number}", "GET /loads",
        "GET /loads/{load}", "POST /loads/{load}/commit"],
    service.POPULATION: [
        "GET /epochs/{epoch}", "GET /epochs/{epoch}/shares", "GET /regulations/{regulation}",
        "GET /regulations/{regulation}/steps"],
    service.ADMINISTRATOR: ["POST /epochs", "POST /epochs/{epoch}/abort", "POST /epochs/{epoch}/retire",
        "DELETE /proposals/{proposal}"],
    service.OFFICER: [
        "GET /proposals", "POST /proposals/{proposal}/confirm", "POST /regulations/{regulation}/taps",
        "GET /epochs/{epoch}/reports", "POST /access-log/subjects", "GET /access-log/checkpoint",
        "GET /access-log/consistency", "GET /access-log/entries", "GET /access-log/proofs/{index}",
        "GET /access-log/budgets", "POST /processing-activities", "POST /access-log/exports", "POST /access-log/expire",
        "POST /access-log/holds", "GET /access-log/holds", "DELETE /access-log/holds/{hold}"],
}
# What an answer says of the parts of paths.
TELLS = {"POST /loads": ("load", "load"), "POST /question-batches": ("batch", "batch"), "PUT /stock": ("proposal", "proposal"),
         "POST /access-log/holds": ("hold", "id")}
HELD = ["response_schema_conformance", "status_code_conformance", "content_type_conformance", "response_headers_conformance"]


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """Whatever it made up, as one line."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.deserializer("application/octet-stream")
def bytes_as_they_are(ctx, response):
    return None


@schemathesis.deserializer("application/x-ndjson")
def a_line(ctx, response):
    """The document has the shape of a line: the first one is looked at, in tests/api all. A page may have none."""
    return json.loads(response.content.splitlines()[0]) if response.content else {"number": 0}


def learn(made, name, response):
    """Keeps the names of what a success made."""
    if name in TELLS:
        part, member = TELLS[name]
        made["parts"][part] = response.json()[member]
    if name == "POST /epochs/{epoch}/retire":
        made["parts_of"]["DELETE /proposals/{proposal}"] = {"proposal": response.json()["proposal"]}
    if name == "POST /epochs":
        made["parts_of"]["POST /epochs/{epoch}/abort"] = {"epoch": response.json()["id"]}


def bodies(running, name, party, *command):
    """What the program itself would send."""
    to = running.folder / name
    running.run(*command, "--config", running.config(party), "--dry-run", "--bodies", to)
    return lambda file: json.loads((to / file).read_text().splitlines()[0])


def make(running):
    """Bodies and names with which each operation can be done."""
    stock, arrears = running.folder / "stock.csv", running.folder / "arrears.csv"
    arrears.write_text("contract_id,maanden\nK0000037,3\n")
    query = ("query", arrears, "--tenants", stock, "-o", running.folder / "flags.csv")
    running.run(*query, "--config", running.config(service.CORPORATION))
    answered = next(csv.DictReader((running.folder / "flags.csv").open()))
    question = bodies(running, "asked", service.CORPORATION, *query)("question.json")
    let = bodies(running, "let", service.CORPORATION, "load", "stock", stock, "--dwellings", "1400")
    day, loads = running.day(), {}
    for column, party, file in (("population", service.POPULATION, "brp.csv"), ("care", service.CARE, "oggz.csv")):
        of = bodies(running, column, party, "load", column, service.DEMO / file, "--reference-date", day)
        loads[column] = {"POST /loads": {**of("plan.json"), "records": 1},
                         "PUT /loads/{load}/chunks/{number}": of("chunk-0.ndjson")}
    epoch = running.ask(service.ADMINISTRATOR, f"epochs/{service.EPOCH}")
    entries, one = {"from": 0, "to": 2}, {"chunks": 1}
    announced = {key: epoch[key] for key in ("regulation", "profile", "schemaHash", "participants")}
    return {
        # Each of these leaves something behind that every later answer is longer for.
        "few": ["POST /epochs", "PUT /stock", "POST /epochs/{epoch}/retire", "POST /regulations/{regulation}/taps"],
        "parts": {"epoch": service.EPOCH, "regulation": epoch["regulation"], "number": 0,
                  "index": int(answered["log_index"])},
        "parts_of": {},
        "queries": {
            "GET /regulations/{regulation}/steps": {"months": 3, "answer": "priority"},
            "GET /access-log/proofs/{index}": {"leaf": base64.b64decode(answered["leaf_hash"]).hex()},
            "GET /access-log/consistency": {"old": 1},
            "GET /access-log/entries": {"from": 0},
        },
        "bodies": {
            "POST /priority-questions": question,
            "POST /priority-batches": {"questions": [question]},
            "POST /question-batches": {"header": question["header"], "purpose": question["purpose"], "questions": 1},
            "PUT /question-batches/{batch}/chunks/{number}": question,
            "POST /question-batches/{batch}/commit": one,
            "POST /group-questions": {"case": int(answered["log_index"]), "leaf": answered["leaf_hash"],
                                      "question": question},
            # One record takes the place of a whole register.
            "POST /loads/{load}/commit": {**one, "acceptShrink": True},
            "PUT /stock": let("stock.json"),
            "POST /epochs": {**announced, "id": "contract"},
            "POST /regulations/{regulation}/taps": {"oin": service.CORPORATION_OIN},
            "POST /access-log/subjects": {"epoch": service.EPOCH, "address": question["address"]},
            "POST /access-log/holds": entries,
            "POST /access-log/exports": entries,
            "POST /processing-activities": {"traceId": answered["trace_id"]},
        },
        "roles": loads,
    }


def all_of_them(running, document):
    """Does each, and leaves behind what it was done with."""
    made, schema = make(running), schemathesis.openapi.from_path(str(document))
    checks, keys, done = [check for check in CHECKS.get_all() if check.__name__ in HELD], running.keys, set()
    assert len(checks) == len(HELD), checks
    for party, names in STEPS.items():
        role = "care" if party == service.CARE else "population"
        for name in names:
            method, path = name.split()
            operation = schema[path][method]
            parts = {**made["parts"], **made["parts_of"].get(name, {})}
            body = made["roles"][role].get(name, made["bodies"].get(name))
            given = {"body": body, "media_type": next(iter(operation.definition.raw["requestBody"]["content"]))} if body else {}
            case = operation.Case(path_parameters={part: parts[part] for part in parts if f"{{{part}}}" in path},
                                  query=made["queries"].get(name, {}), **given)
            response = case.call(base_url=running.url, timeout=60, verify=str(keys / "ca.pem"),
                                 cert=(str(keys / f"{party}.pem"), str(keys / f"{party}.key")))
            if response.status_code >= 300:
                raise SystemExit(f"{name} as {party}: {response.status_code} {response.text}")
            case.validate_response(response, checks=checks)
            learn(made, name, response)
            done.add(name)
    paths = json.loads(document.read_text())["paths"]
    known = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    if missed := known - done - NEVER.keys():
        raise SystemExit(f"no request is made of {sorted(missed)}")
    (running.folder / "made.json").write_text(json.dumps(made))
    print(f"{len(done)} of {len(known)} operations were answered with success, as the document says", flush=True)
