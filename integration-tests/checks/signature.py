"""Says whether a call of the webhook is signed as Standard Webhooks has it: secret, id, timestamp, signature; body on stdin."""

import base64
import hashlib
import hmac
import sys

secret, ident, timestamp, signature = sys.argv[1:]
signed = f"{ident}.{timestamp}.".encode() + sys.stdin.buffer.read()
expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
sys.exit(0 if signature == f"v1,{expected}" else f"{signature} is not v1,{expected}")
