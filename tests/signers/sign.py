"""Signs tokens the way a Python backend does, with PyJWT.

One JSON object per line in, one token per line out, until the end of input:
  {"secret": "…", "claims": {…}, "header": {"kid": "…"}, "algorithm": "HS256"}
"header" and "algorithm" may be left out; for RS256, ES256 and EdDSA the secret is
a private key in PEM. The first error ends the program with the library's message.
"""

import json
import sys

import jwt


def sign(order):
    return jwt.encode(
        order["claims"],
        order["secret"],
        algorithm=order.get("algorithm", "HS256"),
        headers=order.get("header"),
    )


for line in sys.stdin:
    try:
        token = sign(json.loads(line))
    except Exception as error:  # whatever the library raises is the answer
        sys.exit(f"{type(error).__name__}: {error}")
    # The tests keep one process and wait for each line.
    print(token, flush=True)
