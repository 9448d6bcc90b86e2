import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveFake } from "./testing/serve.ts";

describe("POST /auth", () => {
  it("tells the client whether to keep what it was given", async () => {
    await using api = await serveFake();
    const login = { username: "me", password: "secret", serveraddress: "localhost:5000" };
    const taken = await api.call("POST /auth", login);
    assert.deepEqual([taken.status, taken.json()], [200, { Status: "Login Succeeded", IdentityToken: "" }]);
    const refused = await api.call("POST /auth", { ...login, password: "wrong" });
    assert.equal(refused.status, 403);
    assert.match(refused.text, /unauthorized/);
  });
});
