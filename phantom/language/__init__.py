"""Radiology reports as sentences, with what is true of them by construction."""
