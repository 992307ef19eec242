#!/usr/bin/env python3
"""The encoder against clkhash, with reading and writing: records a CPU second of both, in turn.

  speed.py VOORRANG BRP.csv CLKHASH_ENCODE [ROUNDS]

CLKHASH_ENCODE is the laboratory's clkhash_encode.py, run by this Python, which has clkhash 0.18.3; it counts from memory to
memory. All rows of the file count, those of minors as well. Prints a line a round; the machine should do nothing else."""

import json
import os
import resource
import subprocess
import sys
import tempfile

voorrang, people, peer = sys.argv[1:4]
with open(people, encoding="utf-8-sig") as file:
    records = sum(1 for _ in file) - 1


def cpu(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


with tempfile.TemporaryDirectory() as folder:
    salt, codes = os.path.join(folder, "salt"), os.path.join(folder, "codes.ndjson")
    with open(salt, "wb") as file:
        file.write(os.urandom(32))
    encode = [voorrang, "encode", "population", people, "-o", codes, "--salt-file", salt, "--reference-date", "2026-01-01"]
    for _ in range(int(sys.argv[4]) if len(sys.argv) > 4 else 5):
        answer = subprocess.run([sys.executable, peer, people], check=True, capture_output=True).stdout
        theirs = json.loads(answer)["recordsPerCpuSecond"]
        ours = records / cpu(encode)
        print(f"{ours:.0f} against {theirs}: {ours / theirs:.2f}", flush=True)
