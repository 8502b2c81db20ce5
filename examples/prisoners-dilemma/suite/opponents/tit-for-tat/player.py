"""Begins well, and then does what the other one did."""

import json
import sys

for line in sys.stdin:
    last = json.loads(line)["message"]["last"]
    move = "defect" if last and last[1] == "d" else "cooperate"
    print(json.dumps({"message": move}), flush=True)
