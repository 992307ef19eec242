"""Draws docs/frontier.svg: what candidates for the profile link, against how much a household shows by its likenesses.

    python3 tests/lab/frontier.py > docs/frontier.svg

A row: what was changed; link F1 on nl100k, ESSnet and FEBRL4; household signature of all passes side by side, in times what
chance finds (2,000 people of nl10k, 10 to 24 samples, 6 salts each, standard error .1 to .2). Measured with `voorrang evaluate` and with
the attack of `voorrang privacy-report`. docs/profile-figures.md says what the candidates are.
"""

# Links of one to seven salts each, from before the rule on namesakes elsewhere but for what was chosen.
ROWS = [
    ("no parts in keys: tests/lab/unkeyed.toml", 0.9959, 0.9857, 0.9684, 6.1),
    ("the same, and the six lenient codes with parts besides", 0.9963, 0.9908, 0.9748, 6.2),
    ("the same, codes without parts diffused by 5, 6, 8", 0.9959, 0.9887, 0.9706, 3.75),
    ("of codes without parts only names, by 8", 0.9959, 0.9872, 0.9699, 3.66),
    ("home more initial, by 4; names keyed with sex, by 7", 0.9966, 0.9887, 0.9743, 3.62),
    ("home more initial, less surname, by 4", 0.9963, 0.9874, 0.9726, 3.61),
    ("home by 4, surname and initial alike", 0.9959, 0.9873, 0.9725, 3.12),
    ("given names weigh more where there is no date", 0.9961, 0.9862, 0.9719, 3.10),
    ("chosen", 0.9957, 0.9865, 0.9730, 2.93),
    ("lenient codes by 4", 0.9952, 0.9854, 0.9687, 2.89),
    ("home by 5, less initial", 0.9939, 0.9865, 0.9710, 2.48),
]
SETS = [("nl100k", 1, "#1b6ca8"), ("ESSnet", 2, "#c0561b"), ("FEBRL4", 3, "#4a7d2c")]
WIDTH, HEIGHT, LEFT, TOP = 640, 400, 60, 30
LOW, HIGH, MOST = 0.96, 1.0, 7.0


def place(signature, f1):
    x = LEFT + signature / MOST * (WIDTH - LEFT - 90)
    return x, TOP + (HIGH - f1) / (HIGH - LOW) * (HEIGHT - TOP - 60)


print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">')
print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
for tick in range(0, 8):
    x, y = place(tick, LOW)
    print(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{y}" stroke="#ddd"/><text x="{x - 8}" y="{y + 15}">{tick} ×</text>')
for tick in (0.96, 0.97, 0.98, 0.99, 1.0):
    x, y = place(0, tick)
    right = place(MOST, tick)[0]
    print(f'<line x1="{x}" y1="{y}" x2="{right}" y2="{y}" stroke="#ddd"/><text x="20" y="{y + 4}">{tick:.2f}</text>')
for signature, label in ((1, "chance"), (3, "three times chance")):
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
print(f'<text x="{LEFT}" y="{HEIGHT - 15}">household signature of all passes side by side, times chance (filled: the shipped profile)</text>')
print(f'<text x="10" y="{TOP - 12}">link F1</text></svg>')
