"""What schemathesis sends besides what it makes up, and the table of roles. CONTRACT names the folder with what
`contract.py` made, ROLE the column of the table."""

import csv
import json
import os
import pathlib

import schemathesis

import requests_made as requests

FOLDER = pathlib.Path(os.environ["CONTRACT"])
ROLE = os.environ["ROLE"]
MADE = FOLDER / "made.json"
TABLE = pathlib.Path(__file__).resolve().parents[1] / "data" / "roles.csv"
ROLES = {(row["method"], row["path"]): row for row in csv.DictReader(TABLE.open())}

made = json.loads(MADE.read_text())
real = made["roles"].get(ROLE, {})
calls = {}


def name_of(case):
    return f"{case.method.upper()} {case.operation.path}"


@schemathesis.hook
def before_call(ctx, case, **kwargs):
    """Every other valid request is one that can be done: of an epoch that is there, with codes of its salt."""
    name = name_of(case)
    calls[name] = calls.get(name, 0) + 1
    if case.meta is None or case.meta.generation.mode.is_negative or calls[name] % 2 == 0:
        return
    if name in made["few"] and calls[name] > 3:
        return
    body, parts = real.get(name, made["bodies"].get(name)), {**made["parts"], **made["parts_of"].get(name, {})}
    if body is not None and case.body:
        case.body = dict(body, id=f"contract-{calls[name]}") if name == "POST /epochs" else body
    for part in case.path_parameters or {}:
        case.path_parameters[part] = parts.get(part, case.path_parameters[part])
    if name in made["queries"]:
        case.query = dict(made["queries"][name])
    if case.headers:
        case.headers.pop("Idempotency-Key", None)


@schemathesis.hook
def after_call(ctx, case, response):
    """What was made is asked about next."""
    if response.status_code < 300:
        requests.learn(made, name_of(case), response)


@schemathesis.check
def roles(ctx, response, case):
    """No article permits it: then the table says no; and nobody does what it says no to."""
    row = ROLES.get((case.method.upper(), case.operation.path))
    if row is None or case.operation.path.endswith("/confirm"):
        return
    if name_of(case) == "DELETE /proposals/{proposal}":
        return  # Whoever proposed it may, whatever its role.
    is_load = case.operation.path.startswith("/loads")
    may = row["population"] if is_load and ROLE == "care" else row[ROLE]
    # A batch tells each question's refusal inside.
    is_batch = case.operation.path == "/priority-batches"
    if case.operation.path == "/access-log/proofs/{index}" and response.status_code < 300:
        return  # Whoever has a receipt has its proof; without its leaf the table holds.
    if response.status_code < 300 and not (is_batch and b'"answered"' not in response.content):
        assert may == "yes", f"{ROLE} may not, by the table of roles, and does"
    if response.status_code == 403 and response.json().get("article") == "default":
        # Each custodian loads its own source.
        other = is_load and isinstance(case.body, dict) and case.body.get("source") != ROLE
        assert may != "yes" or other, f"{ROLE} may, by the table of roles, and is refused by no article"
