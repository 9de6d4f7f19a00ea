"""An XML document as octets."""

from __future__ import annotations

from xml.etree.ElementTree import Element, indent, tostring


def serialize(root: Element) -> bytes:
    """The document with its declaration, in UTF-8, a line an element."""
    indent(root)
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
