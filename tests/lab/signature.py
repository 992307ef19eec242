#!/usr/bin/env python3
"""The household signature as an independent program has it, in an order that says nothing.

  signature.py TOOL VICTIM.ndjson PASS=T,... OWN.ndjson...

TOOL is the laboratory's attack.py, whose reading of files, correlations and assignment are used; OWN are undiffused filters
under keys of the attacker's own. The tool's own `--signature` lays stolen groups and their members in the order of the
attacker's list, so that whatever fits two ways falls out right: both members of a couple, groups of six, and rows whose
expected similarities were all clipped to zero. Here both are shuffled. Prints a line for each pass, and one for all of them
side by side.
"""

import importlib.util
import json
import sys
from itertools import permutations

import numpy as np

MOST_ORDERED = 5


def module(path):
    spec = importlib.util.spec_from_file_location("attack", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def inside(passes, members):
    """Similarities of all pairs of a group, pass after pass."""
    pairs = np.triu_indices(len(members), 1)
    return np.concatenate([likeness[np.ix_(members, members)][pairs] for likeness in passes])


def found(tool, stolen, expected, addresses, draw):
    hits = people = 0
    groups = [np.where(addresses == address)[0] for address in np.unique(addresses)]
    for size in range(2, 7):
        own = [group for group in groups if len(group) == size]
        if len(own) < 2:
            continue
        orders = list(permutations(range(size))) if size <= MOST_ORDERED else [tuple(range(size))]
        theirs = [draw.permutation(own[at]) for at in draw.permutation(len(own))]
        want = np.array([[inside(expected, group[list(order)]) for order in orders] for group in own])
        distances = [((inside(stolen, group)[None, None] - want) ** 2).sum(-1) for group in theirs]
        rows, columns = tool.linear_sum_assignment(np.array([distance.min(1) for distance in distances]))
        for row, column in zip(rows, columns):
            order = orders[distances[row][column].argmin()]
            hits += int((own[column][list(order)] == theirs[row]).sum())
        people += size * len(own)
    return {"people": people, "reidentified": hits / people}


def main(path, victim, powers, *owns):
    tool, draw = module(path), np.random.default_rng(1)
    rows, codes, names, addresses = tool.load(victim)
    powers = dict(power.split("=") for power in powers.split(","))
    owns = [tool.load(own) for own in owns]
    ids = sorted(rows)
    stolen, expected = [], []
    for at, name in enumerate(names):
        of_own = [own[names.index(name)][[places[one] for one in ids]] for places, own, names, _ in owns]
        mean = np.clip(np.mean([tool.correlation(bits) for bits in of_own], axis=0), 0, 1) ** int(powers[name])
        base = float(np.median(mean[np.triu_indices(len(ids), 1)]))
        bits = codes[at][[rows[one] for one in ids]]
        scale = bits.shape[1] ** 0.5
        stolen.append(tool.correlation(bits) * scale)
        expected.append(np.clip((mean - base) / (1 - base), 0, None) * scale)
    addresses = addresses[[rows[one] for one in ids]]
    for at, name in enumerate(names):
        print(json.dumps({"codes": name, **found(tool, stolen[at : at + 1], expected[at : at + 1], addresses, draw)}))
    print(json.dumps({"codes": "all passes", **found(tool, stolen, expected, addresses, draw)}))


main(*sys.argv[1:])
