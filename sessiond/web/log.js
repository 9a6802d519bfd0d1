// A session's log, as it is written.

import { chunks } from "./api.js";
import { fill, h } from "./dom.js";
import { seen } from "./sight.js";
import { plain } from "./words.js";

const FIRST = -65536;
const LONGEST = 400000;
const LONGEST_READ = 4000000; // while somebody reads further up, nothing is taken away from above
const AGAIN_MS = 2000;
const FOLLOWS = "It is shown as it is written.";
// What may go on in the next piece: a sequence for terminals, the end of a line.
const UNFINISHED = /(?:\r|\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,500}\x1b?)?)$/;

export async function log(panel, at, name, signal) {
  const early = h("p", { class: "soft", hidden: true }, "What came before is left out; ", h("kbd", {}, `sessionctl logs ${name}`), " has all of it.");
  const text = h("pre", { class: "text", role: "log", "aria-live": "off", "aria-label": "Log", tabindex: "0" });
  const note = h("p", { class: "soft" }, FOLLOWS);
  const decoder = new TextDecoder();
  let offset = FIRST;
  let rest = "";
  let cut = false; // whether the next piece begins within a line
  fill(panel, early, text, note);

  function begun(answer) {
    if (offset >= 0) return;
    offset = Number(answer.headers.get("Sessiond-Offset"));
    cut = offset > 0;
    early.hidden = !cut;
  }

  function add(piece, last = false) {
    const whole = rest + piece;
    rest = last ? "" : UNFINISHED.exec(whole)?.[0] ?? "";
    const ready = plain(whole.slice(0, whole.length - rest.length));
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
    text.append(cut ? lines(ready) : ready);
    cut = false;
    if (text.textContent.length > (atEnd ? LONGEST : LONGEST_READ)) {
      text.textContent = lines(text.textContent.slice(-LONGEST / 2));
      early.hidden = false;
    }
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  for (;;) {
    const sight = await seen(signal);
    try {
      for await (const chunk of chunks("GET", `${at}/log?follow=1&offset=${offset}`, undefined, sight.signal, begun)) {
        offset += chunk.length;
        add(decoder.decode(chunk, { stream: true }));
        note.textContent = FOLLOWS;
      }
      break;
    } catch (error) {
      if (signal.aborted || !(sight.lost || error.code === "unreachable")) throw error;
      if (!sight.lost) {
        note.textContent = "sessiond does not answer just now; it is shown further when it does.";
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    } finally {
      sight.close();
    }
  }
  add(decoder.decode(), true);
  note.textContent = text.textContent ? "This is the end of it." : "Nothing was written.";
}

// Without the line that begins before it.
const lines = (text) => text.slice(text.indexOf("\n") + 1);
