"""E-mail addresses: what is one, and when two are the same.

Two are compared by one spelling, which is nobody's address: `gross@` is another mailbox than `groß@`. What is
written to is what was typed.
"""

import re
import unicodedata
from typing import Final

LONGEST: Final = 254  # RFC 5321
# As typed, before it is normalized: what is longer is no address, and normalizing may cost 50 ms for 64 KiB.
LONGEST_TYPED: Final = 320
# What could end a header line or start another address is left out.
_CHARACTER: Final = r"[^@\s<>()\[\],;:\\\"\x00-\x1f\x7f]"
_ADDRESS: Final = re.compile(rf"{_CHARACTER}{{1,64}}@{_CHARACTER}+\.{_CHARACTER}+")
# In any text, as itself or in a URL. The bounds keep the search linear: what is longer is no address.
# An apostrophe may open a quotation, but not in front of the @.
_ANYWHERE: Final = re.compile(
    r"""[^\s<>()\[\],;:"'\\]{0,63}[^\s<>()\[\],;:"\\](?:@|%40)[^\s<>()\[\],;:"'\\/?&#]{1,255}"""
)
HIDDEN: Final = "***"
# RFC 2606: nobody's. Erased customers have such an address.
_NOBODYS: Final = ".invalid"


def hidden(text: str) -> str:
    """A text with no address in it, nor what looks like one."""
    return _ANYWHERE.sub(HIDDEN, text)


def is_nobodys(address: str) -> bool:
    return address.endswith(_NOBODYS)


def normalize(text: str) -> str:
    """The spelling that addresses are compared by, whether it is an address or not. Never written to."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).strip().casefold())


def parse(text: str) -> str:
    """The address as it was typed, without blanks around it. Raise ValueError when it is none.

    Wide and other compatibility forms of letters, which keyboards make, are the letters.
    """
    typed = unicodedata.normalize("NFKC", text).strip() if len(text) <= LONGEST_TYPED else ""
    if len(typed) > LONGEST or not _ADDRESS.fullmatch(typed):
        raise ValueError("this is not an e-mail address")
    return typed
