import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ago, binarySize, decimalSize, duration, ellipsis, goTime, shortId } from "./humanize.ts";
import { parseBytes, parseCpus, parseDurationMs, parseMoment } from "./units.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

function table<A, B>(name: string, of: (value: A) => B, rows: readonly (readonly [A, B])[]): void {
  describe(name, () => {
    for (const [value, expected] of rows) it(`makes ${expected} of ${value}`, () => assert.equal(of(value), expected));
  });
}

table("parseBytes", parseBytes, [
  ["0", 0],
  ["42", 42],
  ["1k", 1024],
  ["1K", 1024],
  ["1kb", 1024],
  ["1KiB", 1024],
  ["200m", 200 * 1024 ** 2],
  ["1.5g", 1.5 * 1024 ** 3],
  ["2t", 2 * 1024 ** 4],
  ["7b", 7],
]);
table("parseCpus", parseCpus, [
  ["0.2", 200_000_000],
  ["1", 1_000_000_000],
  [".5", 500_000_000],
  ["1/4", 250_000_000],
]);
table("parseDurationMs", parseDurationMs, [
  ["0", 0],
  ["42m", 42 * minute],
  ["1h30m", 90 * minute],
  ["1.5s", 1500],
  ["300ms", 300],
]);
table("parseMoment", (text: string) => parseMoment(text, Date.UTC(2026, 0, 2, 12)), [
  ["1767225600", "1767225600"],
  ["1767225600.5", "1767225600.5"],
  ["1h", "1767351600.000000000"],
  ["2026-01-02T11:00:00Z", "1767351600.000000000"],
  ["2026-01-02T12:00:00.5+01:00", "1767351600.500000000"],
]);
table("decimalSize", decimalSize, [
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [4_049_999, "4.05MB"],
  [123_456_789, "123MB"],
  [12_345_678_901, "12.3GB"],
]);
table("binarySize", binarySize, [
  [0, "0B"],
  [1536, "1.5KiB"],
  [1_572_864, "1.5MiB"],
  [209_715_200, "200MiB"],
  [8_345_678_901, "7.773GiB"],
]);
table("duration", duration, [
  [0, "Less than a second"],
  [second, "1 second"],
  [59 * second, "59 seconds"],
  [minute, "About a minute"],
  [2 * minute, "2 minutes"],
  [59 * minute, "59 minutes"],
  [hour, "About an hour"],
  [89 * minute, "About an hour"],
  [90 * minute, "2 hours"],
  [47 * hour, "47 hours"],
  [48 * hour, "2 days"],
  [13 * day, "13 days"],
  [14 * day, "2 weeks"],
  [59 * day, "8 weeks"],
  [60 * day, "2 months"],
  [729 * day, "24 months"],
  [730 * day, "2 years"],
]);

describe("humanize", () => {
  it("counts from a moment", () => assert.equal(ago(0, 2 * hour), "2 hours ago"));
  it("cuts with an ellipsis", () => {
    assert.equal(ellipsis("sleep infinity and more", 20), "sleep infinity and …");
    assert.equal(ellipsis("short", 20), "short");
  });
  it("shortens ids", () => assert.equal(shortId(`sha256:${"ab".repeat(32)}`), "abababababab"));
  it("prints a time as Go does", () => assert.match(goTime(0), /^19(70|69)-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \S+$/));
});

describe("units", () => {
  for (const [read, text] of [
    [parseBytes, "lots"],
    [parseBytes, "1x"],
    [parseBytes, ""],
    [parseBytes, "-1"],
    [parseCpus, "x"],
    [parseCpus, "1/0"],
    [parseDurationMs, "1y"],
    [parseDurationMs, "m"],
  ] as const) {
    it(`refuses ${read.name} of "${text}"`, () => {
      assert.throws(() => read(text), { code: "invalid" });
    });
  }
  it("refuses what is no time", () => {
    assert.throws(() => parseMoment("foo", 0), { code: "invalid" });
  });
});
