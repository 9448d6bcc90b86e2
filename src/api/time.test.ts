import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatTime, humanDuration, parseMoment } from "./time.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

describe("humanDuration", () => {
  const cases: readonly (readonly [number, string])[] = [
    [999, "Less than a second"],
    [second, "1 second"],
    [59 * second, "59 seconds"],
    [minute, "About a minute"],
    [59 * minute, "59 minutes"],
    [hour, "About an hour"],
    [1.5 * hour, "2 hours"],
    [47 * hour, "47 hours"],
    [3 * day, "3 days"],
    [14 * day, "2 weeks"],
    [61 * day, "2 months"],
    [800 * day, "2 years"],
  ];
  for (const [ms, words] of cases) it(`says "${words}"`, () => assert.equal(humanDuration(ms), words));
});

describe("formatTime", () => {
  it("writes RFC 3339 without needless zeros", () => {
    assert.equal(formatTime(Date.UTC(2024, 0, 2, 3, 4, 5, 120)), "2024-01-02T03:04:05.12Z");
    assert.equal(formatTime(Date.UTC(2024, 0, 2, 3, 4, 50)), "2024-01-02T03:04:50Z");
    assert.equal(formatTime(Date.UTC(2024, 0, 2, 3, 40, 0)), "2024-01-02T03:40:00Z");
  });

  it("writes Go's zero time for never", () => {
    assert.equal(formatTime(0), "0001-01-01T00:00:00Z");
  });
});

describe("parseMoment", () => {
  it("reads seconds, with a fraction", () => {
    assert.equal(parseMoment("since", "1700000000"), 1_700_000_000_000);
    assert.equal(parseMoment("since", "1700000000.500000000"), 1_700_000_000_500);
  });

  it("reads RFC 3339", () => {
    assert.equal(parseMoment("since", "2024-01-02T03:04:05Z"), Date.UTC(2024, 0, 2, 3, 4, 5));
    assert.equal(parseMoment("since", "2024-01-02T03:04:05+02:00"), Date.UTC(2024, 0, 2, 1, 4, 5));
    assert.equal(parseMoment("since", "2024-01-02"), Date.UTC(2024, 0, 2));
  });

  it("reads durations before now", () => {
    assert.equal(parseMoment("since", "1h30m", 10 * hour), 8.5 * hour);
    assert.equal(parseMoment("since", "1.5s", 10 * second), 8.5 * second);
  });

  it("takes nothing and 0 for no moment", () => {
    assert.equal(parseMoment("since", ""), undefined);
    assert.equal(parseMoment("since", "0"), undefined);
  });

  it("refuses anything else", () => {
    assert.throws(
      () => parseMoment("since", "yesterday"),
      /invalid value for "since": failed to parse value as time or duration: "yesterday"/,
    );
  });
});
