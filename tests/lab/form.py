"""The form of the laboratory's data sets: what `voorrang evaluate` reads and `score.py` scores."""

import csv
import os

BRP = ("person_id,bsn,huishouden_id,adres_id,voornamen,voorvoegsel,geslachtsnaam,geslacht,geboortedatum,naamgebruik,"
       "partner_voorvoegsel,partner_geslachtsnaam,rol,straat,huisnummer,huisletter,toevoeging,postcode,woonplaats")
TENANTS = ("contract_id,volgnr,corporatie,voorletters,voornaam,tussenvoegsel,achternaam,geslacht,geboortedatum,straat,"
           "huisnummer,toevoeging,postcode,woonplaats,ingangsdatum")
OGGZ = "oggz_id,voornaam,tussenvoegsel,achternaam,geslacht,geboortedatum,straat,huisnummer,toevoeging,postcode,woonplaats"
TRUTH_TENANTS = "contract_id,volgnr,person_id,huishouden_id,situatie,fouten,groep"
TRUTH_CONTRACTS = ("contract_id,huishoudens,in_brp,achterstand_maanden,n_personen,kind,kind_onder_1,ouder65,oggz")


def table(folder, name, columns, rows):
    """Writes dictionaries as a file; what a row lacks is empty."""
    with open(os.path.join(folder, name), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns.split(","), restval="")
        writer.writeheader()
        writer.writerows(rows)


def write(folder, day, residents, questions):
    """`questions` are (tenant, person id or empty, household, members, child, senior), one tenant a contract."""
    os.makedirs(folder, exist_ok=True)
    table(folder, "brp.csv", BRP, residents)
    tenants, who, contracts = [], [], []
    for number, (tenant, person, household, members, child, senior) in enumerate(questions):
        contract = f"K{number:07}"
        tenants.append({"contract_id": contract, "volgnr": 1, "corporatie": "C1", **tenant})
        situation = "woont" if person else "niet_in_brp"
        who.append({"contract_id": contract, "volgnr": 1, "person_id": person,
                    "huishouden_id": household if person else "", "situatie": situation})
        contracts.append({"contract_id": contract, "huishoudens": household if person else "", "in_brp": int(bool(person)),
                          "achterstand_maanden": 3, "n_personen": members, "kind": int(child), "kind_onder_1": 0,
                          "ouder65": int(senior), "oggz": 0})
    # A care list of one stranger: without any every answer is undetermined.
    stranger = {"oggz_id": "O1", "voornaam": "Qxqz", "achternaam": "Zzyzx", "geslacht": "M", "geboortedatum": "1901-01-01"}
    table(folder, "oggz.csv", OGGZ, [stranger])
    table(folder, "huurders.csv", TENANTS, tenants)
    table(folder, "truth_huurders.csv", TRUTH_TENANTS, who)
    table(folder, "truth_contracten.csv", TRUTH_CONTRACTS, contracts)
    with open(os.path.join(folder, "meta.json"), "w", encoding="utf-8") as file:
        file.write('{"config":{"ref_date":"%s"}}\n' % day)
