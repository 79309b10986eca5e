#!/usr/bin/env python3
"""Reads a notice (RFC 3464) on its standard input and prints what it says, one JSON object.

It knows nothing of restante: what Python's own parser makes of the message is what counts.
"""

import base64
import email
import email.policy
import json
import quopri
import sys


def plain(text):
    """What stands in a header as UTF-8 (RFC 6532), which this parser hands over octet by octet."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8")


def fields(text):
    """The fields of a group, names in lower case, unfolded, in order."""
    found = []
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and found:
            found[-1][1] += " " + line.strip()
        elif line:
            name, _, value = line.partition(":")
            found.append([name.lower(), value.strip()])
    return found


def raw_body(part):
    """The content of a part as it stands in the message, transfer encoding undone."""
    if part.get_content_maintype() == "message":
        payload = part.get_payload()
        octets = b""
        if isinstance(payload, list):
            # The parser has read a message (or groups of fields) inside: write it out again, as it was.
            octets = b"\n".join(one.as_bytes(policy=email.policy.compat32) for one in payload)
        else:
            octets = payload.encode("utf-8", "surrogateescape")
        encoding = part.get("Content-Transfer-Encoding", "7bit").lower()
        if encoding == "base64":
            octets = base64.b64decode(octets)
        if encoding == "quoted-printable":
            octets = quopri.decodestring(octets)
        return octets
    return part.get_payload(decode=True)


def main():
    message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
    parts = list(message.iter_parts())
    defects = [repr(defect) for part in message.walk() for defect in part.defects]
    status = raw_body(parts[1]).decode("utf-8").replace("\r\n", "\n")
    groups = [fields(group) for group in status.split("\n\n") if group.strip()]
    returned = raw_body(parts[2]).replace(b"\r\n", b"\n").rstrip(b"\n") if len(parts) > 2 else b""
    told = {
        "from": message["From"].addresses[0].addr_spec,
        "from_name": message["From"].addresses[0].display_name,
        "to": [plain(one.addr_spec) for one in message["To"].addresses],
        "subject": str(message["Subject"]),
        "date": int(message["Date"].datetime.timestamp()),
        "message_id": str(message["Message-ID"]).strip("<>"),
        "in_reply_to": str(message["In-Reply-To"] or "").strip("<>"),
        "auto_submitted": str(message["Auto-Submitted"]),
        "type": message.get_content_type(),
        "report_type": message.get_param("report-type"),
        "part_types": [part.get_content_type() for part in parts],
        "text": parts[0].get_content().replace("\r\n", "\n").rstrip("\n"),
        "status": groups,
        "returned": base64.b64encode(returned).decode(),
        "defects": defects,
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
