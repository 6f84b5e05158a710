"""Paints a patient on any grid of places, before any scanner effect."""
