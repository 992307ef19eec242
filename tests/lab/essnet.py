#!/usr/bin/env python3
"""ESSnet's census and survey as a data set: 4,000 adults of the survey ask, a fifth of the census's households is absent.

  essnet.py FOLDER_WITH_census.csv_AND_cis.csv OUT
"""

import csv
import datetime
import os
import random
import re
import sys

import form

REFERENCE_YEAR = 2011


def rows(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return list(csv.DictReader(file))


def birth(row):
    """yyyymmdd with zeros for unknown parts; nothing for a date that no calendar has."""
    parts = [row[column].split(".")[0] or "0" for column in ("dob_year", "dob_mon", "dob_day")]
    year, month, day = map(int, parts)
    try:
        datetime.date(year or 2000, month or 1, day or 1)
    except ValueError:
        return ""
    return f"{year:04}{month:02}{day:02}" if (year, month, day) != (0, 0, 0) else ""


def place(row):
    found = re.match(r"(\d+)\s*[A-Z]?\s+(.*)", row["enumcap"].strip())
    number, street = (found.group(1), found.group(2).title()) if found else ("", "")
    return {"straat": street, "huisnummer": "" if number == "0" else number, "postcode": row["enumpc"].replace(" ", "")}


def person(row):
    sex = {"M": "M", "F": "V"}.get(row["sex"], "")
    return {"geslacht": sex, "geboortedatum": birth(row), **place(row)}


def age(row):
    year = row["dob_year"].split(".")[0]
    return REFERENCE_YEAR - int(year) if year else None


def main(folder, out):
    draw = random.Random(7)
    census, survey = rows(folder, "census.csv"), rows(folder, "cis.csv")
    household = lambda row: row["person_id"][:-3]
    houses = sorted({household(row) for row in census})
    absent = set(draw.sample(houses, len(houses) // 5))
    by_id = {row["person_id"]: row for row in census}
    members = {}
    for row in census:
        members.setdefault(household(row), []).append(age(row))
    residents = [{"person_id": row["person_id"], "huishouden_id": household(row), "voornamen": row["pername1"],
                  "geslachtsnaam": row["pername2"], **person(row)} for row in census if household(row) not in absent]
    adult = lambda row: row["person_id"] in by_id and (age(by_id[row["person_id"]]) or 0) >= 18
    questions = []
    for row in draw.sample([row for row in survey if adult(row)], 4000):
        house = household(row)
        ages = [known for known in members[house] if known is not None]
        tenant = {"voornaam": row["pername1"], "achternaam": row["pername2"], **person(row)}
        there = row["person_id"] if house not in absent else ""
        questions.append((tenant, there, house, len(members[house]), min(ages) < 18, max(ages) >= 65))
    form.write(out, f"{REFERENCE_YEAR}-12-31", residents, questions)


main(*sys.argv[1:3])
