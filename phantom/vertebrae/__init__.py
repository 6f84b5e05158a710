"""The column: vertebrae, their fractures, what imitates fractures, what disturbs."""
