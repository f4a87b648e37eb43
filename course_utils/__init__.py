"""Helpers of the Fine-Tuning Course."""

__version__ = "0.2.0"
