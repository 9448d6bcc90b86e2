import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RestartPolicy } from "./model.ts";
import { nextDelayMs, wantsRestart, wantsStartAtBoot } from "./restart-policy.ts";

const policy = (name: RestartPolicy["name"], maximumRetryCount = 0): RestartPolicy => ({ name, maximumRetryCount });

describe("wantsRestart", () => {
  it("keeps always and unless-stopped going, whatever the status", () => {
    assert.equal(wantsRestart(policy("always"), 0, 99), true);
    assert.equal(wantsRestart(policy("unless-stopped"), 1, 0), true);
  });

  it("retries failures alone, as often as was said", () => {
    assert.deepEqual(
      [
        wantsRestart(policy("on-failure"), 0, 0),
        wantsRestart(policy("on-failure"), 1, 50),
        wantsRestart(policy("on-failure", 2), 1, 1),
        wantsRestart(policy("on-failure", 2), 1, 2),
      ],
      [false, true, true, false],
    );
  });

  it("leaves the others alone", () => {
    assert.equal(wantsRestart(undefined, 1, 0), false);
    assert.equal(wantsRestart(policy("no"), 1, 0), false);
  });
});

describe("wantsStartAtBoot", () => {
  it("starts always even when a user had stopped it, unless-stopped not", () => {
    const stopped = { stoppedByUser: true, wasRunning: false };
    assert.equal(wantsStartAtBoot(policy("always"), stopped), true);
    assert.equal(wantsStartAtBoot(policy("unless-stopped"), stopped), false);
  });

  it("starts nothing that was only created", () => {
    assert.equal(wantsStartAtBoot(policy("always"), { stoppedByUser: false, wasRunning: false }), false);
  });
});

describe("nextDelayMs", () => {
  it("doubles up to a minute and starts anew after a steady run", () => {
    assert.deepEqual(
      [nextDelayMs(0, 0), nextDelayMs(100, 5), nextDelayMs(50_000, 5), nextDelayMs(60_000, 20_000)],
      [100, 200, 60_000, 100],
    );
  });
});
