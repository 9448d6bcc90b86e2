import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { logPlaceOf, logSettings } from "./log-settings.ts";

describe("logSettings", () => {
  it("bounds the log where nothing is asked", () => {
    assert.deepEqual(logSettings(undefined), { format: 1, maxBytes: 20 * 1024 * 1024, maxFiles: 5 });
  });

  it("reads sizes and counts", () => {
    const options = { "max-size": "10m", "max-file": "3" };
    assert.deepEqual(logSettings({ driver: "json-file", options }), {
      format: 2,
      maxBytes: 10 * 1024 * 1024,
      maxFiles: 3,
    });
  });

  it("refuses what there isn't", () => {
    assert.throws(() => logSettings({ driver: "gelf", options: {} }), /no log driver named 'gelf'/);
    assert.throws(() => logSettings({ driver: "local", options: { labels: "a" } }), /unknown log opt 'labels'/);
    for (const size of ["0", "x", "-1", "10q"])
      assert.throws(() => logSettings({ driver: "local", options: { "max-size": size } }), /max-size/);
    assert.throws(() => logSettings({ driver: "local", options: { "max-file": "0" } }), /max-file/);
  });
});

describe("logPlaceOf", () => {
  it("names a json-file as Docker does", () => {
    assert.equal(logPlaceOf("/d", "abc", logSettings({ driver: "json-file", options: {} })).name, "abc-json.log");
  });
});
