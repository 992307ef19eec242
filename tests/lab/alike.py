#!/usr/bin/env python3
"""How often two adults at one address are alike in parts of the person that a pass could be keyed with.

  alike.py BRP.csv     a population as the generator writes it; residents born in 2008 or before, addresses of 12 and fewer

Prints a line for each pair of parts: how many of the pairs of people, and one of how many."""

import csv
import sys
from collections import defaultdict
from itertools import combinations

PARTS = {
    "day": lambda person: person["geboortedatum"][6:],
    "month": lambda person: person["geboortedatum"][4:6],
    "year": lambda person: person["geboortedatum"][:4],
    "sex": lambda person: person["geslacht"],
    "initial": lambda person: person["voornamen"][:1],
}

homes = defaultdict(list)
with open(sys.argv[1], newline="", encoding="utf-8-sig") as file:
    for person in csv.DictReader(file):
        if person["geboortedatum"][:4] <= "2008":
            homes[person["adres_id"]].append(person)
pairs = [pair for people in homes.values() if len(people) <= 12 for pair in combinations(people, 2)]
print(f"{len(pairs)} pairs")
for parts in combinations(PARTS, 2):
    alike = sum(all(PARTS[part](a) == PARTS[part](b) for part in parts) for a, b in pairs)
    print(f"{' and '.join(parts)}: {alike}, one of {len(pairs) / max(1, alike):.0f}")
