// Signing in, where callers have to: the page asks the local issuer for a token of the caller that is chosen.

import { call } from "./calls.js";
import { byId } from "./dom.js";
import { trouble } from "./exchange.js";
import { askForToken, useToken } from "./requests.js";

// A token is replaced this long before its end.
const MARGIN_MS = 60_000;

let offered = false;
// What the token in use was asked with, and until when it is used.
let held = { asked: "", until: 0 };

export function offerSignIn() {
  offered = true;
  byId("sign-in").hidden = false;
  byId("caller").addEventListener("change", showFields);
  showFields();
}

// Resolves with whether the next request can be sent: the page has a token of the chosen caller, or needs none.
export async function signIn() {
  if (!offered) return true;
  const request = askForToken(byId("caller").value, byId("caller-name").value, byId("grant-reference").value);
  if (request.body === held.asked && Date.now() < held.until) return true;
  const answer = await call("Get an access token", request);
  const line = byId("sign-in-outcome");
  line.hidden = answer.status === 200;
  if (answer.status !== 200) {
    line.textContent = answer.json?.error_description ?? trouble(answer);
    return false;
  }
  useToken(answer.json.access_token);
  held = { asked: request.body, until: Date.now() + answer.json.expires_in * 1000 - MARGIN_MS };
  return true;
}

// The clock was moved on: the token may have ended.
export function forgetToken() {
  held = { asked: "", until: 0 };
}

function showFields() {
  byId("grant-field").hidden = byId("caller").value !== "grant";
}
