"""Takes the diffusion off stolen codes, where a code is longer than its filter: no key, no known pair, no name.

    voorrang encode population brp.csv --salt-file salt -o codes.ndjson
    python3 tests/lab/span.py codes.ndjson PASS [ROUNDS]

Diffusion is linear over GF(2), so all codes of a pass lie in its image. The image's words of low weight are the columns of
the map, each with as many ones as its filter bit has uses; information-set decoding (Prange 1962) finds them. The profile
of early versions (`home`: 1,536 bits from 512) gave 498 of its 512 columns after 60 rounds, 69 s on one core, with 2,000
people of nl10k. A pass whose codes are no longer than its filter spans its whole space, and there is nothing to find.
"""

import base64
import collections
import json
import random
import sys


def codes(path, name, most=4000):
    for line in open(path):
        for code in json.loads(line)["codes"].get(name, []):
            yield code
            most -= 1
            if most == 0:
                return


rows, basis = [base64.b64decode(code) for code in codes(sys.argv[1], sys.argv[2])], {}
bits = 8 * len(rows[0])
for row in rows:
    row = int.from_bytes(row, "big")
    while row and row.bit_length() in basis:
        row ^= basis[row.bit_length()]
    if row:
        basis[row.bit_length()] = row
basis = list(basis.values())
print(f"{len(rows)} codes of {bits} bits span {len(basis)} dimensions")
if len(basis) > bits - bits // 50:
    sys.exit("they span their space: nothing to find")

random.seed(1)
columns, found = list(range(bits)), set()
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 60):
    random.shuffle(columns)
    square, done = basis[:], 0
    for column in columns:
        bit = 1 << column
        at = next((at for at in range(done, len(square)) if square[at] & bit), None)
        if at is None:
            continue
        square[done], square[at] = square[at], square[done]
        for other in range(len(square)):
            if other != done and square[other] & bit:
                square[other] ^= square[done]
        done += 1
        if done == len(square):
            break
    found |= {row for row in square if row.bit_count() <= bits // 64}
print("words of low weight:", sorted(collections.Counter(row.bit_count() for row in found).items()))
