// The log of events: polls the broker and shows new events.

import { dateAndTime } from "./clock.js";
import { byId, element, setText } from "./dom.js";
import { send } from "./exchange.js";

const POLL_MS = 2000;
const MOST_EVENTS = 100;

let seen = [];

export function followEvents() {
  const poll = async () => {
    if (!document.hidden) await look();
    setTimeout(poll, POLL_MS);
  };
  poll();
}

async function look() {
  const answer = await send({ method: "GET", url: "/console/events", headers: {} });
  if (!Array.isArray(answer.json)) {
    tell("The broker does not answer.");
    return;
  }
  const texts = answer.json.map((event) => JSON.stringify(event, null, 2));
  added(seen, texts).forEach(show);
  seen = texts;
  const count = byId("events").children.length;
  tell(count === 0 ? "None yet. Each session ends with an event." : `${count} so far.`);
}

// The entries of `now` that come after those of `before`; the oldest of `before` may be gone.
function added(before, now) {
  const dropped = before.findIndex((_, start) => before.slice(start).every((text, i) => text === now[i]));
  return dropped === -1 ? now : now.slice(before.length - dropped);
}

function show(text) {
  const details = element("div", { className: "call" }, element("pre", { textContent: text, tabIndex: 0 }));
  byId("events").prepend(element("li", {}, element("details", {}, summary(JSON.parse(text)), details)));
  while (byId("events").children.length > MOST_EVENTS) byId("events").lastChild.remove();
}

function summary({ type = "event", time, subject = "", data = {} }) {
  // A long type may be broken after its dots.
  const title = type.split(/(?<=\.)/).flatMap((part) => [part, element("wbr")]);
  return element(
    "summary",
    {},
    verdict(data),
    element("span", { className: "title" }, ...title),
    element("span", { className: "quiet", textContent: time ? dateAndTime(new Date(time)) : "" }),
    element("code", { textContent: subject }),
  );
}

function verdict(data) {
  if (data.passed === true) return element("span", { className: "badge good", textContent: "passed" });
  if (data.passed === false) return element("span", { className: "badge bad", textContent: "not passed" });
  return element("span", { className: "badge waiting", textContent: "event" });
}

function tell(sentence) {
  setText("events-status", sentence);
}
