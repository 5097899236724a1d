// A profile picture: square, small, and without what the camera wrote into it. SPDX-License-Identifier: AGPL-3.0-or-later
import { AVATAR_PX } from "../model/profiles";

export async function pictureOf(file: Blob): Promise<string> {
  const image = await createImageBitmap(file), side = Math.min(image.width, image.height), canvas = document.createElement("canvas");
  canvas.width = canvas.height = AVATAR_PX;
  canvas.getContext("2d")?.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, AVATAR_PX, AVATAR_PX);
  return canvas.toDataURL("image/png"); // XEP-0084 §4.1 asks for PNG
}
