"""Types of audio: float32 arrays, full scale at 1."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

MultichannelWaveform: TypeAlias = npt.NDArray[np.float32]
"""Decoded samples of all channels, of shape (n_samples, channels)."""
Waveform: TypeAlias = npt.NDArray[np.float32]
"""A mono signal, of shape (n_samples,)."""
