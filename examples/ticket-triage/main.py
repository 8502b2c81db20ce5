"""Tells for each support ticket whether it is urgent: one JSON-RPC request a line on the
standard input, one response a line on the standard output."""

import json
import sys

# What a word says for (above 0) or against (below 0) waking somebody up.
WEIGHTS = {
    # EVOLVE-BLOCK-START
    "outage": 1.0,
    "down": 1.0,
    "lost": 1.0,
    "everyone": 1.0,
    "slow": 1.0,
    "urgent": 1.0,
    "password": 1.0,
    "invoice": 1.0,
    "refund": 1.0,
    "typo": 1.0,
    "please": 1.0,
    # EVOLVE-BLOCK-END
}


def urgent(ticket):
    return sum(WEIGHTS.get(word, 0.0) for word in ticket.lower().split()) > 2.0


for line in sys.stdin:
    request = json.loads(line)
    answer = "wake" if urgent(request["params"]["input"]) else "wait"
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}), flush=True)
