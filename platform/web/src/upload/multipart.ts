/** A request body that is built from references to files: nothing is read until the browser sends it. */
export interface Multipart {
  body: Blob;
  contentType: string;
}

/** STOW-RS body (PS3.18 10.5): multipart/related of application/dicom parts. */
export function stowBody(files: readonly Blob[], boundary = `gantry-${crypto.randomUUID()}`): Multipart {
  const parts = files.flatMap((file) => [
    `--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`,
    // A plain type keeps the browser from adding one of its own.
    file.slice(0, file.size, ""),
    "\r\n",
  ]);
  return {
    body: new Blob([...parts, `--${boundary}--\r\n`]),
    contentType: `multipart/related; type="application/dicom"; boundary=${boundary}`,
  };
}
