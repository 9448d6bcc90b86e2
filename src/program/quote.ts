/** Writes a word so that a POSIX shell reads it back as it is. */
export function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Words as one command. */
export function command(...words: readonly (string | number)[]): string {
  return words.map((word) => quote(String(word))).join(" ");
}

/** Bytes as an argument of bash's `printf` that prints exactly them. */
export function printfBytes(data: Uint8Array): string {
  return `'${Array.from(data, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}'`;
}

/** Any data as one word of bash: as it is read, or with escapes where it has bytes that no script holds. */
export function dataWord(data: string | Uint8Array): string {
  const text = typeof data === "string" ? data : Buffer.from(data).toString("latin1");
  if (/^[\t\n\x20-\x7e]*$/.test(text)) return quote(text);
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  return `$${printfBytes(bytes)}`;
}
