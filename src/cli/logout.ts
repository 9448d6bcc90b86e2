import { command } from "./command.ts";
import { registryKey, removeCredentials } from "./login-config.ts";

export const logout = command({
  name: "logout",
  summary: "Forget the credentials for a registry",
  args: "[SERVER]",
  arity: [0, 1],
  flags: {},
  async run({ args: [server], io, print }) {
    const name = server ?? "Docker Hub";
    print(
      removeCredentials(registryKey(server), io.env) ? `Removed credentials for ${name}` : `Not logged in to ${name}`,
    );
    return 0;
  },
});
