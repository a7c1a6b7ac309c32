"""DICOM: files of the hospital to checked gray pictures, and copies that name nobody."""
