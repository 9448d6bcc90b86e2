import { type Route, route } from "./route.ts";
import type { AuthResponse, RegistryAuth } from "./wire.ts";

/** `docker login`: the client keeps what the registry took. */
export const loginRoutes: readonly Route[] = [
  route("POST /auth", async (engine, call) => {
    const { username = "", password = "", identitytoken = "", serveraddress = "" } = await call.json<RegistryAuth>();
    const login = identitytoken === "" ? { username, password } : { username: "<token>", password: identitytoken };
    await engine.images.checkLogin(serveraddress, login, call.signal);
    return { json: { Status: "Login Succeeded", IdentityToken: "" } satisfies AuthResponse };
  }),
];
