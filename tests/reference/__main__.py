# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.reference` writes into the documents what the code says, and names each file that changed."""

from __future__ import annotations

import sys

from tests.reference.document import ROOT, written

for path, text in written():
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
