"""What a scanner makes of it: voltage, kernel, noise, artefacts, positions."""
