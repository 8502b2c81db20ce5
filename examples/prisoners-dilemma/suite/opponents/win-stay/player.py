"""Keeps to a move that went well, and changes one that did not."""

import json
import sys

for line in sys.stdin:
    last = json.loads(line)["message"]["last"]
    same = not last or last[0] == last[1]
    print(json.dumps({"message": "cooperate" if same else "defect"}), flush=True)
