import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { droppingChains } from "./forward-policy.ts";

const ruleset = `table ip filter {
	chain FORWARD {
		type filter hook forward priority 0; policy drop;
		oifname "docker0" accept
	}

	chain INPUT {
		type filter hook input priority 0; policy drop;
	}
}
table inet mine {
	chain FORWARD {
		type filter hook forward priority 0; policy accept;
		drop
	}

	chain strict {
		type filter hook forward priority 10; policy drop;
		iifname "onggi0" accept
	}
}
table bridge b {
	chain FORWARD {
		type filter hook forward priority 0; policy drop;
	}
}
`;

describe("droppingChains", () => {
  it("finds the chains that drop what is forwarded unless told otherwise", () => {
    const chains = droppingChains(ruleset);

    assert.deepEqual(
      chains.map(({ name }) => name),
      ["ip filter FORWARD", "inet mine strict"],
    );
    assert.ok(chains[0]?.text.includes('"docker0"') && !chains[0].text.includes('"onggi0"'));
    assert.ok(chains[1]?.text.includes('"onggi0"'));
  });
});
