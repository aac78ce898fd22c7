"""Measures of detectors and embedders."""
