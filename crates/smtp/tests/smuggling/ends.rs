//! What may be taken for the end of a line; the tests with real servers use it too.

/// Line ends, and what servers were seen to take for one: NUL, vertical tab, form feed, NEL, and nothing at all.
pub(crate) const ENDS: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\n\r",
    b"\r\r",
    b"\n\n",
    b"\r\r\n",
    b"\r\n\r",
    b"\r\n\n",
    b"\r\0\n",
    b"\0\r\n",
    b"\r\n\0",
    b"\0\n",
    b"\n\0",
    b"\r\0",
    b"\0\r",
    b"\x0b",
    b"\x0c",
    b"\xc2\x85",
    b"",
];
