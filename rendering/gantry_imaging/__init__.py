"""Pure geometry and pixels of medical images: no framework, no database, no network.

`volume` and `series` hold voxels in patient space (LPS, millimetres); `decode` turns DICOM files into stored
values and modality units; `render2d` and `encode` make pictures of them; `masks` traces and measures.
Arrays name their axis order (`voxels_kji`, `mask_ji`); everything that refuses raises an `ImagingError` whose
`code` is stable and whose text is a sentence fit for a person, free of patient data.
"""
