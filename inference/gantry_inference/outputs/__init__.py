"""Results written out: a findings graph, and DICOM SEG, SR and encapsulated STL made from it."""
