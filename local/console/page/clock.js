// The one clock of the page, in UTC: the broker's. The simulator's clock can be moved on, and the broker's with it.

import { byId } from "./dom.js";
import { send } from "./exchange.js";

const LOOK_MS = 5000;

let clockUrl = "";
let aheadMs = 0;

export function timeOfDay() {
  return now().toISOString().slice(11, 19);
}

export function dateAndTime(date) {
  return date.toISOString().slice(0, 19).replace("T", " ");
}

// Shows the time, and that of the simulator if the broker has the same clock.
export function followClock(simulatorUrl) {
  clockUrl = simulatorUrl ? `${simulatorUrl}/simulator/clock` : "";
  byId("move-clock").hidden = clockUrl === "";
  setInterval(show, 1000);
  setInterval(lookAtClock, LOOK_MS);
  return lookAtClock();
}

export async function lookAtClock() {
  if (clockUrl !== "" && !document.hidden) {
    const answer = await send({ method: "GET", url: clockUrl, headers: {} });
    if (answer.status === 200) aheadMs = answer.json.movedSeconds * 1000;
  }
  show();
}

export function moveClock(seconds) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", url: clockUrl, headers, body: JSON.stringify({ seconds }) };
}

function now() {
  return new Date(Date.now() + aheadMs);
}

function show() {
  const moved = aheadMs === 0 ? "" : `, moved on by ${Math.round(aheadMs / 60_000)} min`;
  byId("clock").textContent = `${dateAndTime(now())} UTC${moved}`;
}
