// Pictures of people: small, and without what the camera wrote into them. SPDX-License-Identifier: AGPL-3.0-or-later
import { AVATAR_PX, PICTURE_CHARS_MAX, base64Of } from "../model/pictures";

export async function pictureOf(file: Blob): Promise<string> {
  const image = await createImageBitmap(file), side = Math.min(image.width, image.height), canvas = document.createElement("canvas");
  canvas.width = canvas.height = AVATAR_PX;
  canvas.getContext("2d")?.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, AVATAR_PX, AVATAR_PX);
  return canvas.toDataURL("image/png"); // XEP-0084 §4.1 asks for PNG
}

/** Cut to this shape, as a JPEG that fits into a profile: coarser until it does. */
export async function profilePicture(file: Blob, width: number, height: number): Promise<string> {
  const image = await createImageBitmap(file), part = Math.max(width / image.width, height / image.height), canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d");
  if (pen) pen.fillStyle = "#fff"; // what was transparent
  pen?.fillRect(0, 0, width, height);
  pen?.drawImage(image, (width - image.width * part) / 2, (height - image.height * part) / 2, image.width * part, image.height * part);
  for (const quality of [0.85, 0.7, 0.5, 0.3]) {
    const uri = canvas.toDataURL("image/jpeg", quality);
    if (base64Of(uri).length <= PICTURE_CHARS_MAX) return uri;
  }
  throw new Error("too large");
}
