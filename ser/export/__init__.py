"""Convert trained models into self-contained model folders."""
