// The log of calls: each call with its answer and its curl command.

import { timeOfDay } from "./clock.js";
import { byId, copyable, element } from "./dom.js";
import { curl, send, trouble } from "./exchange.js";

const SHOWN_HEADERS = [
  "x-ms-request-id",
  "apim-request-id",
  "x-ms-error-code",
  "Retry-After",
  "RateLimit",
  "RateLimit-Policy",
  "WWW-Authenticate",
  "Allow",
];
const MOST_CALLS = 50;

// Sends the request, shows it, and resolves with its answer.
export async function call(title, request) {
  const entry = addEntry(title, request);
  tell(`${title}: waiting for an answer.`);
  const answer = await send(request);
  complete(entry, answer);
  tell(`${title}: ${answer.failure ? "no answer" : `${answer.status} ${answer.statusText}`}.`);
  return answer;
}

export function clearCalls() {
  byId("calls").replaceChildren();
  tell("None.");
}

export function badge(answer) {
  return element("span", { className: `badge ${kindOf(answer)}`, textContent: answer.status ?? "no answer" });
}

// Good for success, warn for a client error, bad for a server or network error.
export function kindOf({ status = 0 }) {
  if (status >= 400 && status < 500) return "warn";
  return status >= 200 && status < 400 ? "good" : "bad";
}

function addEntry(title, request) {
  const status = element("span", { className: "badge waiting", textContent: "..." });
  const timing = element("span", { className: "quiet", textContent: timeOfDay() });
  const details = element("div", { className: "call" });
  const entry = element("details", { open: true }, summary(status, title, request, timing), details);
  details.append(command(request));
  for (const earlier of byId("calls").querySelectorAll("details[open]")) earlier.open = false;
  byId("calls").prepend(element("li", {}, entry));
  byId("calls").scrollTop = 0;
  while (byId("calls").children.length > MOST_CALLS) byId("calls").lastChild.remove();
  return { status, timing, details };
}

function summary(status, title, request, timing) {
  const { host, pathname } = new URL(request.url);
  const line = element("code", { textContent: `${request.method} ${pathname}`, title: host });
  const name = element("span", { className: "title", textContent: title });
  return element("summary", {}, status, name, timing, line);
}

function complete(entry, answer) {
  entry.status.replaceWith(badge(answer));
  entry.timing.textContent += ` (${answer.milliseconds} ms)`;
  entry.details.prepend(...headerList(answer), body(answer));
}

function headerList(answer) {
  const shown = SHOWN_HEADERS.filter((name) => answer.headers?.has(name));
  if (shown.length === 0) return [];
  const rows = shown.flatMap((name) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: answer.headers.get(name) }),
  ]);
  return [element("dl", { className: "facts" }, ...rows)];
}

function body(answer) {
  if (answer.failure) return element("p", { className: "quiet", textContent: trouble(answer) });
  if (answer.text === "") return element("p", { className: "quiet", textContent: "No body." });
  const text = answer.json === undefined ? answer.text : JSON.stringify(answer.json, null, 2);
  return element("pre", { textContent: text, tabIndex: 0 });
}

function command(request) {
  const [text, button] = copyable(curl(request), "Copy curl", tell);
  const label = element("span", { className: "quiet", textContent: "As a curl command" });
  return element("div", {}, element("div", { className: "command-head" }, label, button), text);
}

function tell(sentence) {
  byId("calls-status").textContent = sentence;
}
