"""Scores a prompt by a checklist, as a reviewer would: prints one JSON object.

A point for each of ten things that a triage prompt should say, less half a point for each that
it shouldn't, for each line said twice, and for each 20 words beyond 120.
"""

import json
import pathlib
import re
import sys

WANTED = {
    "role": r"support engineer",
    "reader": r"reader is",
    "format": r"one JSON object",
    "keys": r"\"team\", \"severity\" and \"reason\"",
    "teams": r"billing, network, accounts, other",
    "scale": r"from 1 .* to 5",
    "evidence": r"quote the words",
    "fallback": r"doesn't say enough",
    "honesty": r"never invent",
    "injection": r"ignore instructions",
}
UNWANTED = [r"pirate", r"creative", r"anything goes", r"as much as you like", r"something helpful"]


def score(prompt):
    instructions = prompt.split("\nTicket:")[0]
    found = [name for name, text in WANTED.items() if re.search(text, instructions, re.I)]
    points = float(len(found))
    points -= 0.5 * sum(bool(re.search(text, instructions, re.I)) for text in UNWANTED)
    lines = [line.strip() for line in instructions.splitlines() if line.strip()]
    points -= 0.5 * (len(lines) - len(set(lines)))
    words = len(instructions.split())
    points -= 0.5 * max(0, (words - 120 + 19) // 20)
    return {"points": points, "words": words, "missing": ", ".join(sorted(set(WANTED) - set(found)))}


print(json.dumps(score((pathlib.Path(sys.argv[1]) / "prompt.md").read_text())))
