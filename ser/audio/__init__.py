"""Decode, resample, denoise, trim, normalize and encode; voice activity detection."""
