"""Diagnoses: what probably happened where two runs part."""

__all__ = ["Diagnosis"]

from outgrow.compare.diagnosis.diagnosis import Diagnosis
