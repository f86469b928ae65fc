// The operator's view: polled while the page is visible. Readiness is asked less often, and only while the details are
// open, because each time costs a call of Face.

import { dateAndTime } from "./clock.js";
import { byId, copyable, element, setText } from "./dom.js";
import { send, trouble } from "./exchange.js";

const POLL_MS = 2000;
const READINESS_MS = 15000;
const COPIED_MS = 5000;
const NO_COMMANDS =
  "This broker keeps its state in memory, where no command reaches it. Start it with make run STORAGE=azurite to get " +
  "the command that shows or mends each session and message.";
const FIRST_SETTINGS = "The commands need the settings below, once in each shell, and run in the folder of the repository.";
const OWN_SETTINGS =
  "The commands need the AzureWebJobsStorage, EVENTS_FILE and ID_PEPPER of this broker, and run in the folder of the " +
  "repository.";

export async function offerOperatorView() {
  const isLinked = location.hash === "#operator-status";
  if (isLinked) byId("operator").open = true;
  byId("operator").addEventListener("toggle", () => isOpen() && checkReadiness());
  byId("check-readiness").addEventListener("click", checkReadiness);
  await repeat(look, POLL_MS, () => true);
  // The browser went to the link before the page had its texts.
  if (isLinked) byId("operator").parentElement.scrollIntoView();
  repeat(checkReadiness, READINESS_MS, isOpen);
}

// Acts again and again, with a pause after each answer, while the page is visible and the act is wanted.
async function repeat(act, pause, isWanted) {
  if (isWanted() && !document.hidden) await act();
  setTimeout(() => repeat(act, pause, isWanted), pause);
}

function isOpen() {
  return byId("operator").open;
}

async function checkReadiness() {
  await send({ method: "GET", url: "/console/readiness", headers: {} });
  await look();
}

async function look() {
  const answer = await send({ method: "GET", url: "/console/status", headers: {} });
  if (answer.status !== 200) {
    tell(trouble(answer), "bad");
    return;
  }
  const { summary, settings, readiness, queue, owed, poison, devices, face, refusals, trouble: log } = answer.json;
  tell(summary.text, summary.kind);
  showReadiness(readiness);
  showOwed(owed);
  showPoison(poison);
  showDevices(devices);
  showNumbers(queue, face, refusals);
  setText("no-errors", log.length ? "" : "None since this broker was started.");
  showRows("recent-errors", log.reverse(), logRow);
  showShell(settings);
}

function showReadiness(readiness) {
  setText("readiness", readiness ? `Asked at ${moment(readiness.time)}, and again every 15 seconds.` : "Being checked.");
  const failing = (readiness?.dependencies ?? []).filter(({ problem }) => problem);
  const answering = (readiness?.dependencies ?? []).filter(({ problem }) => !problem);
  showRows("dependencies", [...failing, ...answering], ({ name, problem, help }) => [
    line(badge(problem ? "fails" : "answers", problem ? "bad" : "good"), ` ${name} ${problem ?? ""}`),
    ...(help ? [line(element("span", { className: "hint", textContent: `See ${help}.` }))] : []),
  ]);
}

function showNumbers(queue, { callsPerSecond, ceiling, refusingForSeconds, errors }, refusals) {
  const since = queue?.oldestDue ? `the oldest that is due was added at ${moment(queue.oldestDue)}` : "none is due";
  setText("queue-depth", queue ? `${counted(queue.messages, "message")}; ${since}` : "unknown");
  const refusing = refusingForSeconds ? `; calls are refused since ${refusingForSeconds} s` : "; refuses no call now";
  setText("face-rate", `${callsPerSecond} calls a second, of at most ${ceiling}${refusing}`);
  setText("face-errors", listed(Object.entries(errors)));
  const isThrottled = ([code]) => code.endsWith("Throttled");
  setText("throttled", listed(Object.entries(refusals).filter(isThrottled)));
  setText("refusals", listed(Object.entries(refusals).filter((one) => !isThrottled(one))));
}

function showOwed(owed) {
  setText("no-owed", owed ? owedHint(owed) : "Unknown: storage does not answer.");
  showRows("owed", withMore(owed, owed?.sessions), (session) => [
    line(element("code", { textContent: session.sessionId })),
    facts([
      ["what to do", session.advice],
      ["owes since", moment(session.completedDateTime ?? session.tokenExpiresDateTime)],
      ["next look", [session.nextLookDateTime && moment(session.nextLookDateTime), session.trouble].filter(Boolean).join(": ")],
      ["last error", session.lastError ? `${session.lastError} (${session.failedLooks} in a row)` : "none"],
      ["status", session.status],
      ["transaction", session.clientReference ?? "none"],
    ]),
    ...commands(session.commands),
  ]);
}

function owedHint({ count, unread }) {
  const hint = count ? "Their tokens have ended, and no event is published." : "None. Each ended session has its event.";
  return unread ? `${hint} Not all records can be read: ${unread}` : hint;
}

function showPoison(poison) {
  const failed = `Each failed ${poison?.deliveries} times, and the app tries it no more.`;
  setText("no-poison", poison ? (poison.count ? failed : "None.") : "Unknown: storage does not answer.");
  showRows("poison", withMore(poison, poison?.messages), (message) => [
    line(element("code", { textContent: message.id })),
    facts([
      ["what to do", message.advice],
      ["since", moment(message.insertedOn)],
      ["why", message.why ?? "see the log"],
      ...(message.usable
        ? [
            ["session", message.sessionId],
            ["reason", `${message.reason}, attempt ${message.attempt}`],
          ]
        : [["text", message.text]]),
    ]),
    ...commands(message.commands),
  ]);
}

function showDevices(devices) {
  setText("no-devices", devices ? devicesHint(devices) : "Unknown: storage does not answer.");
  showRows("devices", withMore(devices, devices?.devices), ({ device, limit, until, commands: texts }) => [
    line(element("code", { textContent: device })),
    facts([
      ["limit", limit],
      ["until", moment(until)],
    ]),
    ...commands(texts),
  ]);
}

function devicesHint({ count, unread }) {
  const hint = count ? "A limit refuses their creates. Clear it after you have looked at the case." : "None.";
  return unread ? `${hint} Not all limits can be read: ${unread}` : hint;
}

// The newest line of a request with what matters of its fields; all its lines are the title.
function logRow({ time, level, text, fields, earlier }) {
  const { event, operation, code, error, status, detail, requestId, sessionId } = fields;
  const parts = [event, operation, code ?? error, status, detail].filter((part) => part != null);
  const before = earlier.length ? `after ${counted(earlier.length, "other line")} of this request` : "";
  const named = [requestId && `request ${requestId}`, sessionId && `session ${sessionId}`, before].filter(Boolean);
  const severity = badge(level.toLowerCase(), level === "WARNING" ? "warn" : "bad");
  const said = element("span", {
    title: [...earlier, text].join("\n"),
    textContent: ` ${moment(time)} ${event ? parts.join(" ") : text}`,
  });
  return [line(severity, said), line(element("code", { className: "quiet", textContent: named.join(", ") }))];
}

// The settings are for the shell, in front of the commands.
function showShell(settings) {
  setText("shell-hint", settings == null ? NO_COMMANDS : settings === "" ? OWN_SETTINGS : FIRST_SETTINGS);
  showRows("shell-settings", settings ? [settings] : [], (text) => commands([text]));
}

// The items, and after them what says how many more there are.
function withMore(found, items = []) {
  const more = (found?.count ?? 0) - items.length;
  return more > 0 ? [...items, { more, commands: found.all ?? [] }] : items;
}

// Keeps the rows that did not change, with their focus and selection.
function showRows(id, items, make) {
  const list = byId(id);
  const before = new Map([...list.children].map((row) => [row.of, row]));
  const times = new Map();
  const rows = items.map((item) => {
    const text = JSON.stringify(item);
    times.set(text, (times.get(text) ?? 0) + 1);
    const of = `${times.get(text)} ${text}`;
    return before.get(of) ?? Object.assign(newRow(list, item, make), { of });
  });
  for (const row of before.values()) {
    if (rows.includes(row)) continue;
    // Who mended the session stays in its list.
    if (row.contains(document.activeElement)) list.focus();
    row.remove();
  }
  rows.forEach((row, i) => row !== list.children[i] && list.insertBefore(row, list.children[i] ?? null));
}

function newRow(list, item, make) {
  const parts = item.more ? [line(`and ${item.more} more`), ...commands(item.commands)] : make(item);
  return element(list.tagName === "UL" ? "li" : "div", {}, ...parts);
}

function commands(texts) {
  return texts.map((text) => {
    const [shown, button] = copyable(text, "Copy", tellCopied);
    button.setAttribute("aria-label", `Copy: ${text}`);
    return element("div", { className: "command" }, shown, button);
  });
}

function facts(pairs) {
  const parts = pairs.flatMap(([name, value]) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: value }),
  ]);
  return element("dl", { className: "facts" }, ...parts);
}

function line(...parts) {
  return element("p", {}, ...parts);
}

function badge(text, kind) {
  return element("span", { className: `badge ${kind}`, textContent: text });
}

// The sentence goes again, so that the next copy is announced too.
function tellCopied(sentence) {
  setText("operator-copied", sentence);
  setTimeout(() => setText("operator-copied", ""), COPIED_MS);
}

function tell(sentence, kind) {
  setText("operator-status", sentence);
  byId("operator-status").className = `outcome ${kind}`;
}

function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function listed(counts) {
  return counts.map(([name, count]) => `${name} ${count}`).join(", ") || "none";
}

function moment(time) {
  return dateAndTime(new Date(time));
}
