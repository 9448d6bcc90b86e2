import { flag } from "./flag.ts";

/** What stands before the command. */
export const globalFlags = {
  debug: flag.switch({ short: "D", help: "Show where an error arose" }),
  host: flag.list({ short: "H", help: 'Socket of the daemon (default "unix:///run/onggi/api.sock", or ONGGI_HOST)' }),
  logLevel: flag.string({
    short: "l",
    help: 'Accepted for Docker\'s sake ("debug", "info", "warn", "error", "fatal")',
  }),
  version: flag.switch({ short: "v", help: "Print version information and quit" }),
};
