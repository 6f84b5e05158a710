"""Real scans, marks of their vertebrae, and the twins made of them."""
