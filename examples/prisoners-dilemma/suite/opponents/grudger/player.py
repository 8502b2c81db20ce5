"""Cooperates until the other one defects, and never again."""

import json
import sys

hurt = False
for line in sys.stdin:
    last = json.loads(line)["message"]["last"]
    hurt = hurt or bool(last) and last[1] == "d"
    print(json.dumps({"message": "defect" if hurt else "cooperate"}), flush=True)
