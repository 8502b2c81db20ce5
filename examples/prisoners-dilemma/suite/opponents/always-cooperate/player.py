"""Cooperates, whatever happens."""

import json
import sys

for line in sys.stdin:
    print(json.dumps({"message": "cooperate"}), flush=True)
