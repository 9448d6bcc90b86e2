const decimalUnits = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** `4.05MB`: powers of 1000, as images and disk use are shown. */
export function decimalSize(bytes: number, digits = 3): string {
  return scaled(bytes, 1000, decimalUnits, digits);
}

/** `1.5MiB`: powers of 1024, as memory is shown. */
export function binarySize(bytes: number): string {
  return scaled(bytes, 1024, binaryUnits, 4);
}

function scaled(bytes: number, base: number, units: readonly string[], digits: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= base && unit < units.length - 1) {
    amount /= base;
    unit++;
  }
  return `${Number(amount.toPrecision(digits))}${units[unit]}`;
}

/** `About a minute`, `2 hours`, `3 weeks`: a length of time in one word and a number. */
export function duration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(seconds / 3600 / 24 / 365)} years`;
}

/** `2 hours ago`. */
export function ago(momentMs: number, nowMs: number): string {
  return `${duration(nowMs - momentMs)} ago`;
}

/** `2026-01-02 13:23:37 +0000 UTC`, in the local zone: how Go prints a time. */
export function goTime(momentMs: number): string {
  const date = new Date(momentMs);
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const zone = offset === 0 ? "UTC" : (/\(([A-Z]+)\)/.exec(date.toString())?.[1] ?? numericZone(offset, sign));
  return `${localClock(date)} ${numericZone(offset, sign)} ${zone}`;
}

function localClock(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function numericZone(offset: number, sign: string): string {
  const minutes = Math.abs(offset);
  return `${sign}${String(Math.trunc(minutes / 60)).padStart(2, "0")}${String(minutes % 60).padStart(2, "0")}`;
}

/** Cuts to `width` characters, the last of them an ellipsis. */
export function ellipsis(text: string, width: number): string {
  const letters = [...text];
  return letters.length <= width ? text : `${letters.slice(0, width - 1).join("")}…`;
}

/** The twelve digits by which people call an id, without its algorithm. */
export function shortId(id: string): string {
  return id.slice(id.indexOf(":") + 1).slice(0, 12);
}
