// The operator's view: polled while it is open. Readiness is checked on demand, because it costs a call of Face.

import { byId, element } from "./dom.js";
import { send, trouble } from "./exchange.js";

const POLL_MS = 2000;

export function offerOperatorView() {
  byId("operator").addEventListener("toggle", () => byId("operator").open && checkReadiness());
  byId("check-readiness").addEventListener("click", checkReadiness);
  const poll = async () => {
    if (byId("operator").open && !document.hidden) await look();
    setTimeout(poll, POLL_MS);
  };
  poll();
}

async function checkReadiness() {
  await look();
  const answer = await send({ method: "GET", url: "/console/readiness", headers: {} });
  const line = byId("readiness");
  const failed = answer.json?.dependencies.filter(({ problem }) => problem) ?? [];
  const ready = answer.status === 200 && failed.length === 0;
  line.className = `outcome ${ready ? "good" : "bad"}`;
  if (answer.status !== 200) line.textContent = trouble(answer);
  else if (ready) line.textContent = `Ready: ${answer.json.dependencies.map(({ name }) => name).join(", ")} answer.`;
  else line.textContent = `Not ready. ${failed.map(({ name, problem }) => `${name}: ${problem}`).join("; ")}`;
}

async function look() {
  const answer = await send({ method: "GET", url: "/console/status", headers: {} });
  if (answer.status !== 200) return;
  const { queue, owed, face, refusals, trouble: log } = answer.json;
  byId("queue-depth").textContent = `${counted(queue.waiting)} messages, due now or later; ${counted(queue.poison)} poison`;
  byId("owed").textContent = `${counted(owed)} of sessions that have ended`;
  byId("face-rate").textContent = `${face.callsPerSecond} calls a second, of at most ${face.ceiling}`;
  const codes = Object.entries(refusals).map(([code, count]) => `${code} ${count}`);
  byId("refusals").textContent = codes.join(", ") || "none";
  byId("recent-errors").replaceChildren(...log.reverse().map(line));
  byId("no-errors").hidden = log.length > 0;
}

// A line of the log with what matters of its fields; the whole line is its title.
function line({ time, level, text }) {
  const head = element("span", { className: "quiet", textContent: `${time.slice(11, 19)} ${level.toLowerCase()} ` });
  return element("li", { title: text }, head, element("code", { textContent: shortened(text) }));
}

function shortened(text) {
  try {
    const { event, operation, code, error, status, detail } = JSON.parse(text);
    return [event, operation, code ?? error, status, detail].filter((part) => part !== undefined).join(" ");
  } catch {
    return text;
  }
}

function counted(number) {
  return number ?? "unknown";
}
