"""The verbs of the command `ovf`, one file each: options and output; the work is done elsewhere."""
