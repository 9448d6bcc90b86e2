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
