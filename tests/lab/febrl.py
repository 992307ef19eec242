#!/usr/bin/env python3
"""FEBRL's data set 4 as a data set: 1,667 people in both files, 1,667 in the register only, 1,666 ask and are in none.

  febrl.py FOLDER_WITH_dataset4a.csv_AND_dataset4b.csv OUT
"""

import csv
import datetime
import os
import random
import sys

import form


def rows(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return [{key.strip(): value.strip() for key, value in row.items()} for row in csv.DictReader(file)]


def key(row):
    return row["rec_id"].split("-")[1]


def birth(row):
    text = row["date_of_birth"]
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return ""
    return text


def person(row):
    number = row["street_number"]
    usable = number.isdigit() and 0 < int(number) <= 99999
    return {"geboortedatum": birth(row), "straat": row["address_1"], "huisnummer": number if usable else "",
            "postcode": row["postcode"], "woonplaats": row["suburb"]}


def main(folder, out):
    register, asking = rows(folder, "dataset4a.csv"), rows(folder, "dataset4b.csv")
    people = sorted(key(row) for row in register)
    random.Random(7).shuffle(people)
    both, registered, strangers = set(people[:1667]), set(people[1667:3334]), set(people[3334:])
    residents = [{"person_id": key(row), "huishouden_id": "H" + key(row), "voornamen": row["given_name"],
                  "geslachtsnaam": row["surname"], **person(row)} for row in register if key(row) in both | registered]
    questions = []
    for row in asking:
        if key(row) in both | strangers:
            tenant = {"voornaam": row["given_name"], "achternaam": row["surname"], **person(row)}
            there = key(row) if key(row) in both else ""
            questions.append((tenant, there, "H" + key(row), 1, False, False))
    # Everybody is an adult on this day.
    form.write(out, "2026-01-01", residents, questions)


main(*sys.argv[1:3])
