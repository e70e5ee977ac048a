"""Text of a data set, decoded by its Specific Character Set (PS3.5 §6.1, PS3.3 §C.12.1.1.2)."""

import re
import warnings

from pydicom import charset
from pydicom.valuerep import TEXT_VR_DELIMS

from gantry.studies.parsing.model import FORBIDDEN_CHARS

# Only terms of the standard, and the misspellings that pydicom corrects: anything else would be looked up
# among all of Python's codecs, where `zip` and `idna` lie too.
_TERM = re.compile(r"ISO[-_ ]IR[-_ ]?\d{1,3}|ISO[-_ ]2022[-_ ]IR[-_ ]\d{1,3}|ISO_IR 192|GB18030|GBK|")
_NAME_DELIMITERS = TEXT_VR_DELIMS | {0x5E, 0x3D}


class CharacterSet:
    """Decodes values; `is_faithful` turns false once something did not decode.

    Parameters
    ----------
    declared : str
        The value of (0008,0005), empty where it is absent.
    """

    def __init__(self, declared: str) -> None:
        terms = [term.strip() for term in declared.split("\\")[:8]]
        known = [term for term in terms if _TERM.fullmatch(term)]
        self.is_faithful = len(known) == len(terms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._encodings = charset.convert_encodings(known) if known else [charset.default_encoding]
            except (LookupError, ValueError):
                self._encodings = [charset.default_encoding]
                self.is_faithful = False

    def decode(self, value: bytes) -> str:
        """Decode text of any VR but PN."""
        return self._decode(value, TEXT_VR_DELIMS)

    def decode_name(self, value: bytes) -> str:
        """Decode a person name, whose delimiters reset the character set (PS3.5 §6.1.2.5.3)."""
        groups = self._decode(value, _NAME_DELIMITERS).split("=")[:3]
        return "=".join(group.strip().rstrip("^ ") for group in groups).rstrip("=")

    def _decode(self, value: bytes, delimiters: set[int]) -> str:
        if value.isascii() and b"\x1b" not in value:
            text = value.decode("ascii")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    text = charset.decode_bytes(value, self._encodings, delimiters)
                except (LookupError, UnicodeError):
                    text = value.decode("ascii", "replace")
        if "\ufffd" in text:
            self.is_faithful = False
        return text


def clean(text: str, max_chars: int) -> str:
    """Remove padding and what is never part of a value, and cut to a length for display."""
    return FORBIDDEN_CHARS.sub("", text.strip(" \0"))[:max_chars].strip()
