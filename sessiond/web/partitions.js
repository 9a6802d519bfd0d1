// The partitions or queues of a cluster, offered where one is asked for. The daemon knows them, or asks the cluster; nobody
// waits for it, and nothing that is typed is refused here. Who chooses a cluster that nobody needed until now is about to
// need it, so the way there is made once; where that fails, only a person has it tried again.

import { ask, segment, send } from "./api.js";
import { announce, button } from "./dom.js";
import { clusters } from "./store.js";

const AGAIN_MS = 1500; // while the cluster is being asked
const MOST_TRIES = 80; // two minutes: what has not answered by then is asked about with the next change

const asking = (found) => `The cluster is being asked for its ${found.kind}s…`;
const isIdle = (name) => clusters.find((one) => one.name === name)?.link.state === "idle";

export class Partitions {
  // `wanted` says what the form looks like now: the cluster's name, the fields for a partition and for a walltime (or
  // none), and what is chosen, as the API takes it.
  constructor(wanted) {
    this.wanted = wanted;
    this.number = 0;
    this.timer = 0;
    this.tries = 0;
    this.cluster = "";
    this.found = null;
    this.open = true;
  }

  // Something was changed, or happened: show what is known for it now. By hand, the cluster is asked and waited for.
  async look(byHand = false) {
    clearTimeout(this.timer);
    const { cluster, place, time, query } = this.wanted();
    if (cluster !== this.cluster) this.#forget(cluster);
    const number = ++this.number;
    if (!this.open || !(place || time)) return;
    const path = `/v1/clusters/${segment(cluster)}/partitions?${new URLSearchParams(query)}`;
    let found;
    try {
      found = await (byHand ? send("POST", path) : ask(path));
    } catch {
      return; // the page says by itself that the daemon does not answer
    }
    if (number !== this.number || !this.open) return;
    this.found = found;
    if (!found.known && !found.asking && !this.connected && isIdle(cluster)) {
      this.connected = true;
      place?.note("", asking(found));
      this.look(true);
      return;
    }
    this.#show(found, place, time, query.partition);
    this.tries = found.asking ? this.tries + 1 : 0;
    if (found.asking && this.tries < MOST_TRIES) this.timer = setTimeout(() => this.look(), AGAIN_MS);
  }

  // A link came or went: what could not be asked before may be now.
  happened() {
    if (this.found && !this.found.known && !this.found.asking) this.look();
  }

  close() {
    this.open = false;
    clearTimeout(this.timer);
  }

  #forget(cluster) {
    this.cluster = cluster;
    this.found = null;
    this.connected = false;
    this.tries = 0;
    const { place, time } = this.wanted();
    place?.suggest([]);
    for (const field of [place, time]) field?.note();
  }

  #show(found, place, time, chosen) {
    place?.suggest(found.partitions, found.usual);
    place?.note(this.#typing(found, chosen, place) ? "" : found.remarks.partition, this.#about(found, chosen, place));
    time?.note(found.remarks.time);
  }

  // Half a name is not wrong as long as the other half may come.
  #typing(found, chosen, place) {
    const names = found.partitions.map((one) => one.name);
    return document.activeElement === place.input && !names.includes(chosen) && names.some((name) => name.startsWith(chosen));
  }

  // What is known of the chosen one, or why nothing is.
  #about(found, chosen, place) {
    if (found.known) {
      const one = found.partitions.find(({ name }) => name === (chosen || found.usual));
      return one?.text ? `${one.name}: ${one.text}` : "";
    }
    if (found.asking) return asking(found);
    if (!found.why) return "";
    const again = button("Ask the cluster", () => {
      place.input.focus(); // the button goes
      place.note("", asking(found));
      announce(asking(found));
      this.look(true);
    }, { class: "link", "data-key": "ask" });
    return [`Its ${found.kind}s are not known: ${found.why}. `, again];
  }
}
