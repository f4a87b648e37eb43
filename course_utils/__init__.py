"""Helpers of the Fine-Tuning Course."""

__version__ = "0.1.0"
