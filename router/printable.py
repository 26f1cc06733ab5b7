# SPDX-License-Identifier: Apache-2.0
"""Text that others wrote, made harmless for a terminal, a status line or a log."""

from __future__ import annotations


def printable(text: str, longest: int = 200) -> str:
    r"""Return *text* with everything that does not print (line breaks, escapes, marks of direction) shown as `\x1b`.

    A backslash is doubled, so that nothing looks escaped that is not. More than *longest* characters end in `…`.
    """
    if len(text) <= longest and text.isprintable() and "\\" not in text:
        return text
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in shown)
