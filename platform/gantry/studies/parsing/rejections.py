"""The reasons for which a file is quarantined; codes are stable, sentences may improve."""

_AGAIN = "Send it again from its source; if that does not help, ask the vendor of the sending device."
_ASIDE = "It was put aside for inspection."

SENTENCES = {
    "dicom.not_dicom": "This file is not DICOM. If it lies among images by mistake, leave it out.",
    "dicom.archive": "This is an archive, not a DICOM file. Unpack it and send what is inside.",
    "dicom.empty": f"This file is empty. {_AGAIN}",
    "dicom.truncated": f"This file ends before the data it announces; it was cut off on its way. {_AGAIN}",
    "dicom.malformed": f"The structure of this DICOM file is broken. {_AGAIN}",
    "dicom.undefined_length": f"An element of this file has a length that DICOM does not allow. {_AGAIN}",
    "dicom.missing_uid": (
        "This file does not say which study, series or instance it is: a UID is missing or empty. "
        "De-identification tools often cause this; export it again with UIDs."
    ),
    "dicom.invalid_uid": (f"A UID of this file is none: it must be digits and dots, at most 64 characters. {_AGAIN}"),
    "dicom.invalid_identity": (
        "The Patient ID, its issuer or the accession number of this file is too long or cannot be read. "
        "Check the patient at the sending device and send it again."
    ),
    "dicom.contradictory": (
        "This file gives an identifying element twice with different values: nobody can say whom it belongs "
        f"to. {_AGAIN}"
    ),
    "dicom.inflated_too_large": ("This compressed file unpacks to more than is allowed. Send it without deflation."),
    "dicom.nested_too_deep": f"The content of this file is nested deeper than in any real object. {_AGAIN}",
    "dicom.too_many_elements": f"This file has more elements than any real object. {_AGAIN}",
    "dicom.preamble_executable": (
        "This file is a DICOM file and a program or document at once, as attackers build them. It was not "
        "stored; tell your security officer where it came from."
    ),
    "dicom.too_large": "This file is larger than is allowed here. Ask your administrator to raise the limit.",
    "dicom.dicomdir": "This is a DICOMDIR, the table of contents of a disc. Send the images without it.",
    "dicom.invalid_image": (
        f"What this file says about its pixels cannot be true: rows, columns, bits, frames or offsets. {_AGAIN}"
    ),
    "dicom.unsupported_transfer_syntax": (
        "This file is encoded in a way that is not supported. Export it again uncompressed or as JPEG 2000."
    ),
    "dicom.parser_timeout": f"Reading this file took too long and was stopped. {_ASIDE}",
    "dicom.parser_memory": f"Reading this file took too much memory and was stopped. {_ASIDE}",
    "dicom.parser_crashed": f"Reading this file failed unexpectedly. {_ASIDE}",
}


class ParseRefusedError(Exception):
    """Raised while parsing; becomes a `Rejection` with this code and its sentence."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
