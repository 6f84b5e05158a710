"""The PACS that take our objects, behind one small interface. A new kind is one module here."""
