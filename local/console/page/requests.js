// The requests that the page can send, as plain values: method, url, headers, and the body as text.

const BROKER = location.origin;
const JSON_TYPE = { "Content-Type": "application/json" };

// What each request to the broker has in its header where callers sign in.
let signedIn = {};

export function useToken(accessToken) {
  signedIn = { Authorization: `Bearer ${accessToken}` };
}

// Asks the local issuer for a token: of a `person`, of a person with a `grant` for a transaction, or of a `server`.
export function askForToken(kind, name, reference) {
  const form = new URLSearchParams({ sub: name });
  if (kind === "grant") form.set("client_reference", reference);
  if (kind === "server") form.set("role", "Liveness.Operate");
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  return { method: "POST", url: `${BROKER}/console/token`, headers, body: form.toString() };
}

export const WRONG_TOKEN = "not-the-token-of-this-session";

export function createSession(fields, idempotencyKey) {
  const body = { livenessOperationMode: fields.mode };
  const headers = { ...signedIn, ...JSON_TYPE, "Idempotency-Key": idempotencyKey };
  if (fields.setInClient) {
    body.deviceCorrelationIdSetInClient = true;
    headers["X-Device-Correlation-Id"] = fields.deviceId;
  } else {
    body.deviceCorrelationId = fields.deviceId;
  }
  if (fields.lifetime !== "") body.authTokenTimeToLiveInSeconds = Number(fields.lifetime);
  if (fields.clientReference !== "") body.clientReference = fields.clientReference;
  if (fields.sendResults) body.sendResultsToClient = true;
  return { method: "POST", url: `${BROKER}/api/sessions`, headers, body: JSON.stringify(body) };
}

export function performCheck(simulatorUrl, session, outcome) {
  const fields = {};
  if (session.setInClient) fields.deviceCorrelationId = session.deviceId;
  if (outcome) fields.outcome = outcome;
  const authorization = { Authorization: `Bearer ${session.authToken}` };
  const url = `${simulatorUrl}/simulator/perform`;
  if (Object.keys(fields).length === 0) return { method: "POST", url, headers: authorization };
  return { method: "POST", url, headers: { ...authorization, ...JSON_TYPE }, body: JSON.stringify(fields) };
}

export function readResult(session, token, digest) {
  const headers = { ...signedIn };
  if (token) headers["X-Session-Token"] = token;
  if (digest) headers["X-Client-Digest"] = digest;
  return { method: "GET", url: sessionUrl(session), headers };
}

export function revokeSession(session) {
  const headers = { ...signedIn, "X-Session-Token": session.authToken };
  return { method: "DELETE", url: sessionUrl(session), headers };
}

// A digest that is not this one: its first character is another.
export function otherDigest(digest) {
  return digest ? (digest[0] === "0" ? "1" : "0") + digest.slice(1) : "0".repeat(64);
}

export function newIdempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sessionUrl(session) {
  return `${BROKER}/api/sessions/${session.sessionId}`;
}
