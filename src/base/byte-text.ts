/**
 * Names of files are bytes; here they are text in which a byte that is no UTF-8 is a lone surrogate U+DC80 to U+DCFF, as in Python's
 * `surrogateescape`. So every name has exactly one text, and goes back to the kernel as it came.
 */

const replacement = "\ufffd";

/** The text of a name. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString("utf8");
  if (!text.includes(replacement) || Buffer.from(text).equals(buffer)) return text;
  return escaped(buffer);
}

/** The bytes of a name's text. */
export function bytesOf(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  const parts: Buffer[] = [];
  let plain = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0xdc80 || code > 0xdcff) {
      plain += character;
      continue;
    }
    parts.push(Buffer.from(plain), Buffer.from([code & 0xff]));
    plain = "";
  }
  parts.push(Buffer.from(plain));
  return Buffer.concat(parts);
}

/** Takes as many bytes at a time as are one character; a byte that begins none stands alone. */
function escaped(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    text += length === 0 ? String.fromCharCode(0xdc00 | (bytes[at] ?? 0)) : bytes.toString("utf8", at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

function characterLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  const piece = bytes.subarray(at, at + length);
  return piece.length === length && Buffer.from(piece.toString("utf8")).equals(piece) ? length : 0;
}
