"""A folder of DICOM, beside Orthanc."""
