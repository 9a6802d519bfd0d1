// Whether anybody sees the page. A browser opens six connections to one place, for all of its tabs together: a stream that
// nobody reads would take one of them from the tab that somebody does look at.

// Wait until the page is seen. The signal of what comes of it ends when the page is not seen any more, and with `end`; after a
// pause of the whole page, too, because a stream may be dead by then without a word.
export async function seen(signal) {
  while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  const control = new AbortController();
  const sight = { signal: control.signal, lost: false, end: () => control.abort(), close };
  const look = (event) => {
    if (!document.hidden && event.type !== "resume") return;
    sight.lost = true;
    control.abort();
  };
  document.addEventListener("visibilitychange", look);
  document.addEventListener("resume", look);
  signal?.addEventListener("abort", sight.end);
  if (signal?.aborted) sight.end();

  function close() {
    document.removeEventListener("visibilitychange", look);
    document.removeEventListener("resume", look);
    signal?.removeEventListener("abort", sight.end);
  }
  return sight;
}
