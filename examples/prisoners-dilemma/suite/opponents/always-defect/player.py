"""Defects, whatever happens."""

import json
import sys

for line in sys.stdin:
    print(json.dumps({"message": "defect"}), flush=True)
