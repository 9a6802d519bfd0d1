// What is known of the daemon: sessions and clusters, kept as they are by the stream of events.

import { Failure, ask, isLocked, lines, segment } from "./api.js";
import { seen } from "./sight.js";

const ALONE_MS = 45000; // an empty line comes every twenty seconds, so silence for longer is a lost connection
const REFRESH_MS = 60000; // some words tell how long something has lasted
const UNSEEN_MS = 3600000; // often enough for a page that nobody sees to stay known

export const sessions = new Map();
export let clusters = [];
let told = () => {};
let trouble = () => {};
let locked = () => {};

export function listen(on) {
  ({ told, trouble, locked } = on);
}

export function put(session) {
  const before = sessions.get(session.id);
  sessions.set(session.id, session);
  told(session, before);
}

export function drop(id) {
  sessions.delete(id);
  told(null);
}

export async function refresh() {
  const [found, places] = await Promise.all([ask("/v1/sessions?all=1"), ask("/v1/clusters")]);
  clusters = places;
  const ids = new Set(found.map((one) => one.id));
  for (const id of sessions.keys()) if (!ids.has(id)) sessions.delete(id);
  for (const one of found) put(one);
  told(null);
}

const asked = new Map();

// Look at a session again; what happens to it meanwhile is looked at once more, not many times.
async function look(id) {
  if (asked.has(id)) { asked.set(id, true); return; }
  asked.set(id, false);
  try {
    do {
      asked.set(id, false);
      put(await ask(`/v1/sessions/${segment(id)}`));
    } while (asked.get(id));
  } catch (error) {
    if (error instanceof Failure && error.status === 404) drop(id);
    else if (isLocked(error)) locked(error);
  } finally {
    asked.delete(id);
  }
}

// Follow the events for as long as the page is known, and while it is seen; a lost stream is taken up again.
export async function follow() {
  let asked = Date.now();
  setInterval(() => {
    if (document.hidden && Date.now() - asked < UNSEEN_MS) return;
    asked = Date.now();
    refresh().catch(() => {});
  }, REFRESH_MS);
  for (let wait = 500; ; wait = Math.min(wait * 2, 10000)) {
    const sight = await seen();
    let silence = setTimeout(sight.end, ALONE_MS);
    try {
      for await (const event of lines("GET", "/v1/events", undefined, sight.signal)) {
        clearTimeout(silence);
        silence = setTimeout(sight.end, ALONE_MS);
        if (event === null) {
          // the first empty line: from here on nothing is missed, so now is the time to see how everything is
          if (wait !== 0) await refresh();
          wait = 0;
          trouble("");
        } else if (event.session) look(event.session);
        else refresh().catch(() => {});
      }
    } catch (error) {
      if (isLocked(error)) { locked(error); return; }
    } finally {
      clearTimeout(silence);
      sight.close();
    }
    wait = wait || 500;
    if (sight.lost) continue;
    trouble("sessiond does not answer just now. Sessions go on; this page keeps trying.");
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
