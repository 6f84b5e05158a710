"""Which transfer syntaxes can be decoded here. Asked once per process; pydicom is imported only then."""

from __future__ import annotations

import functools
import hashlib

# Pixel bytes lie in the file as they are (after inflating, for the deflated one): no decoder is needed.
NATIVE_SYNTAXES = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
)
# JPEG baseline and extended, near-lossless JPEG-LS: lossy whatever the header says (PS3.5 A.4). JPEG 2000
# (…4.91, …4.203) may be either, there the header decides.
LOSSY_SYNTAXES = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"})
# Compressed syntaxes that CT objects come in (PS3.5 A.4, PS3.6 A-1) and that any decoder knows.
KNOWN_COMPRESSED = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.5",
)


@functools.cache
def is_decodable(transfer_syntax_uid: str) -> bool:
    """Whether the pixels of this transfer syntax can be decoded by what is installed."""
    if transfer_syntax_uid not in KNOWN_COMPRESSED:  # pydicom would log an odd value as it stands
        return transfer_syntax_uid in NATIVE_SYNTAXES
    from pydicom.pixels.decoders.base import get_decoder

    return bool(get_decoder(transfer_syntax_uid).is_available)


@functools.cache
def decoders_digest() -> str:
    """Eight hex characters that change when a decoder is added or removed."""
    available = ",".join(uid for uid in KNOWN_COMPRESSED if is_decodable(uid))
    return hashlib.sha256(available.encode()).hexdigest()[:8]
