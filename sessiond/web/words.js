// Times in words.

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

export function span(seconds) {
  const left = Math.max(0, Math.round(seconds));
  for (let at = 0; at < UNITS.length; at++) {
    const [size, unit] = UNITS[at];
    if (left < size) continue;
    const [smaller, word] = UNITS[at + 1] ?? [0, ""];
    const rest = smaller ? Math.floor((left % size) / smaller) : 0;
    return `${Math.floor(left / size)} ${unit}${rest ? ` ${rest} ${word}` : ""}`;
  }
  return `${left} s`;
}

export const until = (time) => (Date.parse(time) - Date.now()) / 1000;
export const since = (time) => -until(time);

export function clock(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  const options = today ? { hour: "numeric", minute: "2-digit" } : { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" };
  return at.toLocaleString(undefined, options);
}

// What terminals are told beside text: colours, movements, titles.
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]/g;

export const plain = (text) => text.replace(ESCAPES, "").replace(/\r\n?/g, "\n").replace(CONTROLS, "\ufffd");

// The daemon's words as a sentence of their own. What one types, and names, stay as they are.
export function sentence(text, ...names) {
  const first = /^[a-z']+(?=[ ,;]|$)/.exec(text)?.[0];
  return !first || /^session(?:ctl|d)$/.test(first) || names.includes(first) ? text : text[0].toUpperCase() + text.slice(1);
}

const STATES = {
  render: "preparing", submit: "submitting", reconcile: "finding out", abandon: "stopping", "wait-for-node": "in the queue",
  start: "starting", tunnel: "connecting", running: "running", verify: "checking", kill: "stopping", ended: "ended",
};
const OUTCOMES = {
  completed: "completed", cancelled: "stopped", failed: "failed", rejected: "rejected", walltime: "time was over", "node-failed": "node failed",
  preempted: "preempted", "out-of-memory": "out of memory", idle: "idle", lost: "lost",
};

// Stopped is what the person did; what somebody ended on the cluster asks for attention.
const outcome = (session) => (session.outcome === "cancelled" && session.severity === "attention" ? "cancelled" : OUTCOMES[session.outcome]);
const isQueued = (session) => session.mode !== "local" && session.mode !== "controller";
export function state(session) {
  if (session.outcome) return outcome(session) ?? session.state;
  return session.state === "wait-for-node" && !isQueued(session) ? STATES.start : STATES[session.state] ?? session.state;
}
export const place = (session) => (session.mode === "local" ? "this machine" : `${session.cluster}, ${MODES[session.mode] ?? session.mode}`);

const MODES = { controller: "login node", slurm: "Slurm", pbs: "PBS" };
