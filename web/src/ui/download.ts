// Gives the person a file. SPDX-License-Identifier: AGPL-3.0-or-later
export function save(name: string, type: string, text: string | BlobPart[]): void {
  const url = URL.createObjectURL(new Blob(typeof text === "string" ? [text] : text, { type })), a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
