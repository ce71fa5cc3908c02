"""A folder of DICOM: its index, studies and series, and series as NIfTI volumes."""
