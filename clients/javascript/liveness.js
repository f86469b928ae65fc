// A client of the Face Liveness Broker, for browsers and Node 20 or newer. README.md shows how to use it.

import { ERRORS, FAILURES, OTHER_ERRORS } from "./errors.js";

// The service answers within ten seconds; the rest is for the network.
const ANSWER_SECONDS = 15;
// A result is there a moment after the check. This is for slow networks, and for a service that limits its calls.
const RESULT_SECONDS = 90;
const NO_DIGEST_SECONDS = 20;
const FINAL = ["ResultAvailable", "Expired"];

/** What a person is told about a result, by outcome, and by the code of a failure or of an error of the Vision SDK. */
export const SENTENCES = {
  __proto__: null,
  ...FAILURES,
  passed: "The check was successful.",
  failed: "The check was not successful.",
  tryAgain: "The check did not work. Please try again.",
  expired: "The check took too long. Please start a new one.",
  done: "The check is complete.",
};

/** A call that failed. `again` says what to do: see docs/errors.md. `message` is for developers, `tell` for people. */
export class LivenessError extends Error {
  constructor(code, { message = code, status = 0, requestId, target, retryAfterSeconds, cause } = {}) {
    super(message, { cause });
    this.name = "LivenessError";
    const row = ERRORS[code] ?? OTHER_ERRORS[status] ?? OTHER_ERRORS[status >= 500 ? "server" : "client"];
    const { again, atMost, tell } = row;
    Object.assign(this, { code, status, requestId, target, retryAfterSeconds, again, atMost });
    this.tell = tell.replace("{wait}", inWords(retryAfterSeconds ?? 60));
  }
}

export class LivenessClient {
  /**
   * @param {object} options see `LivenessOptions` in liveness.d.ts
   */
  constructor({ url, accessToken, storage = defaultStorage(), fetch = globalThis.fetch, sleep = wait, now = Date.now }) {
    this.url = url.replace(/\/+$/, "");
    this.accessToken = accessToken;
    this.storage = storage;
    this.fetch = (...request) => fetch(...request);
    this.sleep = sleep;
    this.now = now;
  }

  /**
   * Do the whole check. `perform` gets Face's token, lets the Vision SDK do the check, and returns the SDK's digest.
   *
   * A check that was interrupted goes on where it stopped when this is called with the same name and request again.
   */
  async check({ name = "check", request = {}, perform, signal }) {
    const session = await this.create({ name, request, signal });
    const kept = await this.#load(name);
    let { digest } = kept;
    if (digest === undefined) {
      digest = (await perform(session.authToken, session)) || null;
      await this.#save(name, { ...kept, digest });
    }
    const result = await this.result(session, { digest, attempts: kept.attempts, signal }).catch(async (error) => {
      // Without a digest nothing reached Face, or nothing is told of it: the next check performs again.
      if (error.code === "NoResultYet" && !digest) await this.#save(name, { ...kept, digest: undefined });
      throw error;
    });
    if (result.outcome === "tryAgain") {
      await this.#save(name, { ...kept, digest: undefined, attempts: result.attempts });
    } else {
      await this.#forget(name);
    }
    return result;
  }

  /** Create the session of a check, or get it again: also after a restart of the app. */
  async create({ name = "check", request = {}, signal } = {}) {
    const body = { livenessOperationMode: "Passive", ...request };
    body.deviceCorrelationId ??= await this.deviceId();
    const text = JSON.stringify(body);
    let kept = await this.#load(name);
    if (kept.text !== text) kept = { text };
    const session = await this.#create(name, kept, signal);
    if (kept.sessionId !== session.sessionId) {
      // A digest belongs to one session.
      const { key } = await this.#load(name);
      await this.#save(name, { key, text, sessionId: session.sessionId });
    }
    return session;
  }

  async #create(name, kept, signal) {
    // Stored before it is sent: whatever ends the app, the same key gets the same session.
    const key = kept.key ?? newKey();
    await this.#save(name, { ...kept, key });
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    try {
      const fields = ["sessionId", "authToken"];
      return await this.#send("POST", "/api/sessions", { headers, body: kept.text, fields, signal });
    } catch (error) {
      if (error.again === "new session") await this.#forget(name);
      if (error.code !== "IdempotencyKeyReused" || !kept.key) throw error;
      // The session of the stored key was revoked.
      return this.#create(name, { text: kept.text }, signal);
    }
  }

  /**
   * Ask until there is a result, or until an attempt failed that the person may repeat (`outcome` is `tryAgain`).
   *
   * `digest` is what the Vision SDK returned. It is compared once: send nothing else. `attempts` is how many attempts
   * are known to have failed.
   */
  async result(session, { digest, attempts = 0, signal, seconds } = {}) {
    // Without a digest the SDK may have ended before anything reached Face.
    seconds ??= digest ? RESULT_SECONDS : NO_DIGEST_SECONDS;
    const end = this.now() + seconds * 1000;
    const headers = { "X-Session-Token": session.authToken, ...(digest ? { "X-Client-Digest": digest } : {}) };
    for (;;) {
      const answer = await this.#send("GET", pathOf(session), { headers, fields: ["status"], signal, end });
      if (FINAL.includes(answer.status) || (answer.failure && answer.attempts > attempts)) return withOutcome(answer);
      const pause = (answer.retryAfterSeconds ?? 2) * 1000;
      if (this.now() + pause > end) {
        throw new LivenessError("NoResultYet", { retryAfterSeconds: answer.retryAfterSeconds });
      }
      await this.sleep(pause, signal);
    }
  }

  /** End a session and its token. A check that was made counts all the same. */
  async revoke(session, { name = "check", signal } = {}) {
    const headers = { "X-Session-Token": session.authToken };
    try {
      await this.#send("DELETE", pathOf(session), { headers, signal });
    } catch (error) {
      if (error.code !== "SessionNotFound") throw error;
    }
    await this.#forget(name);
  }

  /** A random id of this installation, which is kept. */
  async deviceId() {
    const kept = await this.storage.getItem("liveness.device");
    if (kept) return kept;
    const made = newKey();
    await this.storage.setItem("liveness.device", made);
    return made;
  }

  // Send a request, and again as the catalogue of errors says. No repeat comes after `sent.end`.
  async #send(method, path, sent) {
    const start = this.now();
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#sendOnce(method, path, sent);
      } catch (error) {
        if (!(error instanceof LivenessError) || error.again !== "now") throw error;
        // Never sooner than the service says. The rest doubles, and is spread so that phones do not return together.
        const pause = ((error.retryAfterSeconds ?? 0) + 2 ** tries * (1 + Math.random() / 2)) * 1000;
        const end = Math.min(start + error.atMost * 1000, sent.end ?? Infinity);
        if (this.now() + pause > end) throw error;
        await this.sleep(pause, sent.signal);
      }
    }
  }

  // `fields` are those that an answer of the service has.
  async #sendOnce(method, path, { headers, body, fields = [], signal }) {
    signal?.throwIfAborted();
    const token = await this.accessToken?.();
    const authorization = token ? { Authorization: `Bearer ${token}` } : {};
    const patience = new AbortController();
    const abort = () => patience.abort(signal.reason);
    const timer = setTimeout(() => patience.abort(), ANSWER_SECONDS * 1000);
    signal?.addEventListener("abort", abort);
    try {
      // The service never redirects, and the tokens are for nobody else.
      const redirect = "error";
      const sent = { method, headers: { ...headers, ...authorization }, body, redirect, signal: patience.signal };
      const response = await this.fetch(this.url + path, sent);
      const text = await response.text();
      if (!response.ok) throw errorOf(response, text);
      const answer = fields.length ? JSON.parse(text) : undefined;
      if (fields.some((field) => typeof answer?.[field] !== "string")) throw new Error("not an answer of the service");
      return answer;
    } catch (error) {
      if (error instanceof LivenessError) throw error;
      signal?.throwIfAborted();
      throw new LivenessError("NoConnection", { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  async #load(name) {
    const text = await this.storage.getItem(`liveness.check.${name}`);
    try {
      return Object(JSON.parse(text));
    } catch {
      // Written by something else, or only in part.
      return {};
    }
  }

  // Never the token: the key gets it again from the service, as long as it is valid.
  async #save(name, kept) {
    await this.storage.setItem(`liveness.check.${name}`, JSON.stringify(kept));
  }

  async #forget(name) {
    await this.storage.removeItem(`liveness.check.${name}`);
  }
}

/** A storage that ends with the page or process. */
export function memoryStorage() {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  };
}

function defaultStorage() {
  try {
    // A browser may refuse the access, and Node has none by default, or one without functions.
    if (globalThis.localStorage?.getItem) return globalThis.localStorage;
  } catch {
    // As where there is none.
  }
  return memoryStorage();
}

function withOutcome(answer) {
  let outcome = "done";
  if (answer.status === "Expired") outcome = "expired";
  else if (!FINAL.includes(answer.status)) outcome = "tryAgain";
  else if (answer.passed !== undefined) outcome = answer.passed ? "passed" : "failed";
  const reason = ["tryAgain", "failed"].includes(outcome) ? FAILURES[answer.failure?.code] : undefined;
  return { ...answer, outcome, tell: reason ?? SENTENCES[outcome] };
}

function errorOf(response, text) {
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {
    // A gateway in front of the service answers without JSON.
  }
  if (typeof error.code !== "string") error = {};
  const seconds = error.retryAfterSeconds ?? Number(response.headers.get("Retry-After") ?? NaN);
  return new LivenessError(error.code ?? `Http${response.status}`, {
    message: error.message,
    status: response.status,
    requestId: error.requestId,
    target: error.target,
    retryAfterSeconds: Number.isFinite(seconds) ? seconds : undefined,
  });
}

function pathOf(session) {
  return `/api/sessions/${encodeURIComponent(session.sessionId)}`;
}

function newKey() {
  // Not `randomUUID`, which pages without https lack.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function inWords(seconds) {
  const [amount, unit] =
    seconds < 60 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const whole = Math.max(1, Math.ceil(amount));
  return `${whole} ${unit}${whole === 1 ? "" : "s"}`;
}

function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
