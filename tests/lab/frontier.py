"""Draws docs/frontier.svg: what candidates for the profile link, against how much a household shows by its likenesses.

    python3 tests/lab/frontier.py > docs/frontier.svg

A row: what was changed; link F1 on nl100k, ESSnet and FEBRL4; household signature of the address code, mean over seeds in
per cent (chance is .5; three salts or more in the last five rows). Measured with `voorrang evaluate` and `voorrang privacy-report` (2,000 people of nl10k).
"""

ROWS = [
    ("four codes, address t 3 of 2,048 bits", 0.9965, 0.9875, 0.9463, 3.3),
    ("t 3, 1,024 bits, filters of 512", 0.9967, 0.9913, 0.9710, 3.0),
    ("without the first digits of the year", 0.9962, 0.9893, 0.9700, 1.9),
    ("less weight on digits", 0.9965, 0.9886, 0.9694, 2.2),
    ("t 4, 1,536 bits", 0.9962, 0.9841, 0.9668, 1.65),
    ("street t 3", 0.9964, 0.9872, 0.9694, 0.9),
    ("street t 3, filters .42 full, thresholds by rule", 0.9968, 0.9901, 0.9716, 1.9),
    ("no code longer than its filter, 512 bits", 0.9962, 0.9894, 0.9700, 1.7),
    ("street t 4, codes without a date t 7", 0.9961, 0.9837, 0.9646, 1.25),
    ("chosen: street t 4", 0.9963, 0.9858, 0.9681, 1.2),
    ("home t 5", 0.9954, 0.9845, 0.9681, 1.0),
    ("filters and codes twice as long, home and postcode t 5", 0.9963, 0.9869, 0.9688, 1.0),
    ("half of the surname with the initial", 0.9964, 0.9822, 0.9662, 0.94),
    ("the same, all t 3", 0.9968, 0.9848, 0.9700, 2.1),
]
SETS = [("nl100k", 1, "#1b6ca8"), ("ESSnet", 2, "#c0561b"), ("FEBRL4", 3, "#4a7d2c")]
WIDTH, HEIGHT, LEFT, TOP = 640, 400, 60, 30
LOW, HIGH, MOST = 0.94, 1.0, 4.0


def place(signature, f1):
    x = LEFT + signature / MOST * (WIDTH - LEFT - 90)
    return x, TOP + (HIGH - f1) / (HIGH - LOW) * (HEIGHT - TOP - 60)


print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">')
print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
for tick in range(0, 5):
    x, y = place(tick, LOW)
    print(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{y}" stroke="#ddd"/><text x="{x - 8}" y="{y + 15}">{tick} %</text>')
for tick in (0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0):
    x, y = place(0, tick)
    right = place(MOST, tick)[0]
    print(f'<line x1="{x}" y1="{y}" x2="{right}" y2="{y}" stroke="#ddd"/><text x="20" y="{y + 4}">{tick:.2f}</text>')
for signature, label in ((0.5, "chance"), (1.5, "gate")):
    x, _ = place(signature, LOW)
    print(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{place(0, LOW)[1]}" stroke="#888" stroke-dasharray="4 3"/>')
    print(f'<text x="{x + 3}" y="{TOP - 6}" fill="#555">{label}</text>')
for name, column, colour in SETS:
    for row in ROWS:
        x, y = place(row[4], row[column])
        chosen = row[0].startswith("chosen")
        print(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if chosen else 4}" fill="{colour if chosen else "white"}" '
              f'stroke="{colour}" stroke-width="2"><title>{row[0]}</title></circle>')
    print(f'<text x="{WIDTH - 80}" y="{place(0, ROWS[0][column])[1] + 4:.1f}" fill="{colour}">{name}</text>')
print(f'<text x="{LEFT}" y="{HEIGHT - 15}">household signature of the address code (filled: the shipped profile)</text>')
print(f'<text x="10" y="{TOP - 12}">link F1</text></svg>')
