"""Recordings of real driving: read from the formats that others write, and made into scenes at the contract's clock."""
