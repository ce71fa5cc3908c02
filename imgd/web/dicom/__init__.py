"""Answers about a collection's DICOM: DICOMweb, studies and series, volumes."""
