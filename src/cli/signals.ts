/** Signals that a proxying client hands on; those of job control, of broken pipes and of crashes stay its own. */
const proxied: readonly NodeJS.Signals[] = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
  "SIGTSTP",
  "SIGIO",
  "SIGPWR",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
];

/** So many interrupts mean that the user wants out, whatever the container does. */
const patience = 3;

/**
 * Hands signals on to the container; those that come before `open` wait for it.
 *
 * @param deliver - called for each signal, in order
 * @param giveUp - called at the third interrupt
 */
export function proxySignals(deliver: (signal: string) => Promise<void>, giveUp: () => void) {
  let isOpen = false;
  let interrupts = 0;
  let queue = Promise.resolve();
  const waiting: string[] = [];
  const send = (signal: string) => {
    queue = queue.then(() => deliver(signal)).catch(() => {});
  };
  const listener = (signal: string) => {
    if ((signal === "SIGINT" || signal === "SIGTERM") && ++interrupts >= patience) giveUp();
    if (isOpen) send(signal);
    else waiting.push(signal);
  };
  for (const signal of proxied) process.on(signal, listener);
  return {
    open() {
      isOpen = true;
      for (const signal of waiting.splice(0)) send(signal);
    },
    close() {
      for (const signal of proxied) process.off(signal, listener);
    },
  };
}
