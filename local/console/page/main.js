// The page: connects buttons, requests and answers. The session is kept in this tab only.

import { badge, call, clearCalls, kindOf } from "./calls.js";
import { dateAndTime, followClock, lookAtClock, moveClock } from "./clock.js";
import { byId, withCode } from "./dom.js";
import { followEvents } from "./events.js";
import { send, trouble } from "./exchange.js";
import { offerOperatorView } from "./operator.js";
import {
  createSession,
  newIdempotencyKey,
  otherDigest,
  performCheck,
  readResult,
  revokeSession,
  WRONG_TOKEN,
} from "./requests.js";
import { offerScenarios } from "./scenarios.js";
import { forgetToken, offerSignIn, signIn } from "./sign_in.js";
import { ofCheck, ofCreate, ofResult, ofRevocation } from "./verdicts.js";

const MOVE_SECONDS = 900;
const NEED_SESSION = ["perform", "read", "read-wrong-digest", "read-wrong-token", "read-no-token", "revoke"];

const NO_DIGEST = "The phone has no digest yet.";

let simulatorUrl = "";
let latestCreate = null;
let session = null;

async function start() {
  byId("broker-url").textContent = location.origin;
  listen();
  const config = await send({ method: "GET", url: "/console/config.json", headers: {} });
  const { faceVersion, release, signIn: signsIn, simulated } = config.json ?? {};
  simulatorUrl = config.json?.simulatorUrl ?? "";
  byId("simulator-url").textContent = simulatorUrl;
  byId("face-version").textContent = simulated ? `${faceVersion}, simulated` : `${faceVersion}, the real one`;
  byId("release").textContent = release;
  if (signsIn) offerSignIn();
  await followClock(simulated ? simulatorUrl : "");
  followEvents();
  offerOperatorView();
  const listing = await send({ method: "GET", url: `${simulatorUrl}/simulator/scenarios`, headers: {} });
  const scenarios = Array.isArray(listing.json) ? listing.json : [];
  offerScenarios(scenarios, faceVersion);
  if (scenarios.length === 0) warn(`The simulator's scenarios cannot be read. ${trouble(listing)}`);
}

function listen() {
  onSubmit("create-form", create);
  onClick("repeat", () => sendCreate("Repeat with the same key", latestCreate));
  onSubmit("perform-form", perform);
  onClick("read", () => read("Read the result", session.authToken, session.digest));
  onClick("read-wrong-digest", () =>
    read("Read with a wrong digest", session.authToken, otherDigest(session.digest)),
  );
  onClick("read-wrong-token", () => read("Read with a wrong token", WRONG_TOKEN, session.digest));
  onClick("read-no-token", () => read("Read without the session's token", null, session.digest));
  onClick("revoke", revoke);
  onClick("clear-calls", clearCalls);
  onClick("move-clock", letTimePass);
}

async function create() {
  release();
  if (!(await signIn())) return;
  const fields = {
    mode: byId("mode").value,
    deviceId: byId("device-id").value,
    lifetime: byId("lifetime").value,
    clientReference: byId("client-reference").value,
    setInClient: byId("set-in-client").checked,
    sendResults: byId("send-results").checked,
  };
  latestCreate = { fields, request: createSession(fields, newIdempotencyKey()) };
  byId("repeat").disabled = false;
  await sendCreate("Create a session", latestCreate);
}

async function sendCreate(title, { fields, request }) {
  const answer = await call(title, request);
  const isSame = session !== null && session.sessionId === answer.json?.sessionId;
  if (answer.status !== 200) release();
  else if (!isSame) hold({ ...answer.json, ...fields, digest: null });
  conclude("create", answer, ...ofCreate(answer, isSame));
}

function perform() {
  const request = performCheck(simulatorUrl, session, byId("outcome").value);
  return ask("perform", "Perform the check", request, (answer) => {
    if (answer.status === 200) showDigest(answer.json.digest);
    return ofCheck(answer);
  });
}

async function read(title, token, digest) {
  if (await signIn()) await ask("read", title, readResult(session, token, digest), ofResult);
}

async function letTimePass() {
  await call("Move the clock on by 15 minutes", moveClock(MOVE_SECONDS));
  forgetToken();
  await lookAtClock();
}

async function revoke() {
  if (await signIn()) await ask("revoke", "Revoke the session", revokeSession(session), ofRevocation);
}

// Sends a request of the current session. The step shows the answer unless a new session was created meanwhile.
async function ask(step, title, request, judge) {
  const asked = session;
  const answer = await call(title, request);
  if (session === asked) conclude(step, answer, ...judge(answer));
}

// Without a session the later steps can do nothing. A create begins so, and a failed one ends so.
function release() {
  session = null;
  byId("session").hidden = true;
  byId("digest").textContent = NO_DIGEST;
  for (const id of NEED_SESSION) byId(id).disabled = true;
  for (const step of ["create", "perform", "read", "revoke"]) byId(`${step}-outcome`).replaceChildren();
}

function hold(created) {
  release();
  session = created;
  byId("session").hidden = false;
  byId("session-id").textContent = session.sessionId;
  byId("session-device").textContent = session.deviceId;
  byId("session-expires").textContent = `${dateAndTime(new Date(session.expiresAt))} UTC`;
  for (const id of NEED_SESSION) byId(id).disabled = false;
  showDigest(null);
}

function showDigest(digest) {
  session.digest = digest;
  byId("digest").textContent = digest ?? NO_DIGEST;
}

// `kind` colours the sentence; by default the answer's status does.
function conclude(step, answer, sentence, kind = kindOf(answer)) {
  const line = byId(`${step}-outcome`);
  line.className = `outcome ${kind}`;
  line.replaceChildren(badge(answer), " ", ...withCode(sentence));
}

function warn(sentence) {
  byId("trouble").textContent = sentence;
  byId("trouble").hidden = false;
}

function onClick(id, act) {
  byId(id).addEventListener("click", act);
}

function onSubmit(id, act) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

start();
