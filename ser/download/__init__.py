"""Fetch, verify and unpack corpora; import custom corpora; synthesize the demo corpus."""
