// Run against a broker and its Face simulator: BROKER=http://127.0.0.1:7071 SIMULATOR=http://127.0.0.1:7072 node --test

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";

import { ERRORS } from "./errors.js";
import { LivenessClient, LivenessError, SENTENCES, memoryStorage } from "./liveness.js";

const CONTRACT = JSON.parse(readFileSync(new URL("../../docs/openapi.json", import.meta.url), "utf-8"));

const { BROKER, SIMULATOR } = process.env;
let devices = 0;

// A device that no test used before, with an outcome of docs/simulator.md.
function device(outcome = "realface") {
  devices += 1;
  return { deviceCorrelationId: `sim-${outcome}.${process.pid}-${devices}` };
}

// The phone's Vision SDK, as the simulator plays it.
async function perform(authToken) {
  const headers = { Authorization: `Bearer ${authToken}` };
  const response = await fetch(`${SIMULATOR}/simulator/perform`, { method: "POST", headers });
  return (await response.json()).digest;
}

// A client that notes its requests and its waits.
function client(options = {}) {
  const requests = [];
  const noted = (url, request) => {
    requests.push({ url, ...request });
    return fetch(url, request);
  };
  return Object.assign(new LivenessClient({ url: BROKER, storage: memoryStorage(), fetch: noted, ...options }), { requests });
}

// A service that gives one answer after the other, and a time that only waiting moves on.
async function against(answers, work) {
  const paths = [];
  const server = createServer((request, response) => {
    paths.push(request.url);
    const [status, body, headers = {}] = answers.length > 1 ? answers.shift() : answers[0];
    response.writeHead(status, headers).end(JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const waits = [];
  const time = { sleep: async (milliseconds) => void waits.push(milliseconds), now: () => waits.reduce((a, b) => a + b, 0) };
  try {
    await work(client({ url: `http://127.0.0.1:${server.address().port}`, ...time }), waits, paths);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

// A time that goes on with each look at it.
function nowAfter(milliseconds) {
  let time = 0;
  return () => (time += milliseconds);
}

for (const [outcome, expected, fields] of [
  ["realface", "passed", { passed: true, digestMatches: true }],
  ["no-digest", "passed", { passed: true }],
  ["spoofface", "failed", { livenessDecision: "spoofface" }],
  ["uncertain", "failed", { livenessDecision: "uncertain" }],
  ["digest-mismatch", "failed", { digestMatches: false }],
  ["unknown-decision", "failed", { passed: false }],
  ["result-flaky", "passed", { passed: true }],
]) {
  test(`the outcome of ${outcome} is ${expected}`, async () => {
    const result = await client().check({ request: device(outcome), perform });

    assert.equal(result.outcome, expected);
    assert.match(result.tell, expected === "passed" ? /was successful/ : /not successful/);
    for (const [name, value] of Object.entries(fields)) assert.equal(result[name], value);
  });
}

test("a person may repeat an attempt that failed, in the same session", async () => {
  const broker = client();
  const request = device("second-passes");

  const first = await broker.check({ request, perform });
  const second = await broker.check({ request, perform });

  assert.deepEqual([first.outcome, first.tell], ["tryAgain", "Please take your mask off, and try again."]);
  assert.deepEqual([second.outcome, second.sessionId], ["passed", first.sessionId]);
});

test("a person is told why the last attempt failed", async () => {
  const failure = { code: "ExcessiveFaceBrightness", message: "" };
  const answer = { status: "ResultAvailable", passed: false, livenessDecision: null, attempts: 1, failure };
  await against([[200, answer]], async (service) => {
    const result = await service.result({ sessionId: "s", authToken: "t" });
    assert.deepEqual([result.outcome, result.tell], ["failed", "Please turn away from strong light, and try again."]);
  });
});

test("the key survives a restart, and gets the same session; a later check has another one", async () => {
  const storage = memoryStorage();
  const request = device();

  const before = await client({ storage }).create({ request });
  const after = await client({ storage }).create({ request });
  await client({ storage }).check({ request, perform });
  const later = await client({ storage }).create({ request });

  assert.deepEqual(after, before);
  assert.notEqual(later.sessionId, before.sessionId);
  assert.ok(!storage.getItem("liveness.check.check").includes(before.authToken));
});

test("a check that was performed before a restart is not performed again", async () => {
  const storage = memoryStorage();
  const request = device();
  const ends = { ...storage, setItem: (name, value) => storage.setItem(name, value) };
  const dying = client({ storage: ends });
  dying.result = () => Promise.reject(new Error("the app was closed"));

  await assert.rejects(dying.check({ request, perform }), /closed/);
  const result = await client({ storage }).check({ request, perform: () => assert.fail("performed again") });

  assert.deepEqual([result.outcome, result.digestMatches], ["passed", true]);
});

test("where the SDK ended before anything reached Face, the next check performs again", async () => {
  const storage = memoryStorage();
  const request = device();
  const closing = client({ storage });
  closing.result = () => Promise.reject(new Error("the app was closed"));

  await assert.rejects(closing.check({ request, perform: async () => undefined }), /closed/);
  const impatient = client({ storage, sleep: async () => {}, now: nowAfter(9000) });
  const error = await impatient.check({ request, perform: () => assert.fail("asks first") }).catch((thrown) => thrown);
  const result = await client({ storage }).check({ request, perform });

  assert.deepEqual([error.code, result.outcome], ["NoResultYet", "passed"]);
});

test("a digest is kept while its result is not there, so that the person performs once", async () => {
  const storage = memoryStorage();
  const request = device();
  let performed = 0;
  const counted = async () => `digest-${++performed}`;
  const impatient = client({ storage, sleep: async () => {}, now: nowAfter(100000) });

  const first = await impatient.check({ request, perform: counted }).catch((thrown) => thrown);
  const second = await impatient.check({ request, perform: counted }).catch((thrown) => thrown);

  assert.deepEqual([first.code, second.code, performed], ["NoResultYet", "NoResultYet", 1]);
});

test("what cannot be read any more in the storage counts as nothing", async () => {
  for (const kept of ["{", "null", "[]", '"text"', "7"]) {
    const storage = memoryStorage();
    storage.setItem("liveness.check.check", kept);
    assert.ok((await client({ storage }).create({ request: device() })).authToken);
  }
});

test("checks with other names or requests are other sessions", async () => {
  const storage = memoryStorage();
  const [request, other] = [device(), device()];

  const sessions = [
    await client({ storage }).create({ name: "a", request }),
    await client({ storage }).create({ name: "b", request }),
    await client({ storage }).create({ name: "a", request: other }),
  ];

  assert.equal(new Set(sessions.map((session) => session.sessionId)).size, 3);
});

test("a storage that does not work is not used", async () => {
  // Such as that of Node 25 without a file.
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Object.defineProperty(globalThis, "localStorage", { value: {}, configurable: true });
  try {
    assert.match(await new LivenessClient({ url: BROKER }).deviceId(), /^[0-9a-f]{32}$/);
  } finally {
    if (before) Object.defineProperty(globalThis, "localStorage", before);
    else delete globalThis.localStorage;
  }
});

test("without a device id the one of this installation is sent", async () => {
  const storage = memoryStorage();
  const [first, second] = [client({ storage }), client({ storage })];
  await first.create({ name: "a" });
  await second.create({ name: "b" });

  const [one, two] = [first, second].map((each) => JSON.parse(each.requests[0].body).deviceCorrelationId);
  assert.match(one, /^[0-9a-f]{32}$/);
  assert.equal(two, one);
});

test("a create that Face fails is sent again with the same key", async () => {
  const fault = { method: "POST", body: '{"status": 500, "count": 1, "call": "create"}' };
  await fetch(`${SIMULATOR}/simulator/fault`, fault);
  const broker = client({ sleep: async () => {} });

  await broker.create({ request: device() });

  const keys = broker.requests.map((request) => request.headers["Idempotency-Key"]);
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
});

test("a device with too many checks is told how long to wait, and not asked again", async () => {
  const broker = client();
  const request = device();
  for (const name of "abcde") await broker.create({ name, request });
  const error = await broker.create({ name: "f", request }).catch((thrown) => thrown);

  assert.ok(error instanceof LivenessError);
  assert.deepEqual([error.code, error.status, error.again], ["DeviceThrottled", 429, "later"]);
  assert.match(error.tell, /on this device\. Please try again in 1[01] minutes\.$/);
  assert.equal(broker.requests.length, 6);
});

test("a revoked session is gone, and the next check gets a new one", async () => {
  const broker = client();
  const request = device();
  const session = await broker.create({ request });
  const kept = broker.storage.getItem("liveness.check.check");

  await broker.revoke(session);
  const error = await broker.result(session).catch((thrown) => thrown);
  // As if the app had ended before it could forget the key.
  broker.storage.setItem("liveness.check.check", kept);
  const next = await broker.create({ request });

  assert.deepEqual([error.code, error.again], ["SessionNotFound", "new session"]);
  assert.notEqual(next.sessionId, session.sessionId);
});

test("a session that is gone already counts as revoked", () =>
  against([[404, { error: { code: "SessionNotFound" } }]], async (broker) => {
    broker.storage.setItem("liveness.check.check", "{}");
    await broker.revoke({ sessionId: "a", authToken: "t" });
    assert.equal(broker.storage.getItem("liveness.check.check"), null);
  }));

test("a wrong request is not sent again, and names the field", async () => {
  const broker = client();
  const error = await broker.create({ request: { livenessOperationMode: "Other" } }).catch((thrown) => thrown);

  assert.deepEqual([error.code, error.again, error.target], [
    "InvalidLivenessOperationMode",
    "never",
    "livenessOperationMode",
  ]);
  assert.match(error.requestId, /-/);
  assert.equal(broker.requests.length, 1);
});

test("the access token is asked for anew for each request", async () => {
  let count = 0;
  const broker = client({ accessToken: async () => `token-${++count}` });
  const session = await broker.create({ request: device() });
  await broker.revoke(session);

  assert.deepEqual(broker.requests.map((request) => request.headers.Authorization), ["Bearer token-1", "Bearer token-2"]);
});

for (const [outcome, code, again] of [
  ["create-401", "UpstreamUnauthorized", "later"],
  ["create-quota", "UpstreamQuotaExceeded", "later"],
  ["create-403", "UpstreamNotApproved", "later"],
  ["create-500", "UpstreamFailure", "now"],
]) {
  test(`the error of ${outcome} is ${code}`, async () => {
    const waits = [];
    const time = { sleep: async (wait) => void waits.push(wait), now: () => waits.reduce((a, b) => a + b, 0) };
    const error = await client(time).check({ request: device(outcome), perform }).catch((thrown) => thrown);

    assert.deepEqual([error.code, error.again, waits.length > 0], [code, again, again === "now"]);
    assert.match(error.tell, /not available right now/);
  });
}

for (const [status, again] of [[401, "now"], [403, "never"], [404, "never"], [429, "later"], [500, "now"], [503, "now"]]) {
  test(`a gateway's ${status} without a code is understood by its status`, () =>
    against([[status, "no JSON object", { "Retry-After": "90" }]], async (broker) => {
      const error = await broker.create().catch((thrown) => thrown);

      assert.deepEqual([error.code, error.again, error.retryAfterSeconds], [`Http${status}`, again, 90]);
    }));
}

test("tokens are not sent on to where an answer redirects", () =>
  against([[307, {}, { Location: "/elsewhere" }]], async (broker, _waits, paths) => {
    const error = await broker.result({ sessionId: "a", authToken: "t" }).catch((thrown) => thrown);

    assert.equal(error.code, "NoConnection");
    assert.ok(!paths.includes("/elsewhere"));
  }));

test("there is a whole sentence for each error", () => {
  for (const code of Object.keys(ERRORS)) {
    const { again, tell } = new LivenessError(code, { retryAfterSeconds: 5400 });
    assert.ok(["now", "later", "new session", "never"].includes(again), code);
    assert.match(tell, /^[A-Z][^{}]+\.$/, code);
  }
  assert.match(new LivenessError("DeviceThrottled", { retryAfterSeconds: 1 }).tell, / in 1 second\.$/);
  assert.match(new LivenessError("DeviceThrottled", { retryAfterSeconds: 5401 }).tell, / in 2 hours\.$/);
});

for (const [code, { status, again, atMostSeconds, tell }] of Object.entries(CONTRACT["x-errors"])) {
  for (const seconds of [undefined, 1, 7, 61]) {
    test(`${code} with a wait of ${seconds} s is sent again as the contract says`, () =>
      against([[status, { error: { code, retryAfterSeconds: seconds } }]], async (broker, waits) => {
        const error = await broker.create().catch((thrown) => thrown);

        assert.deepEqual([error.code, error.again, error.retryAfterSeconds], [code, again, seconds]);
        assert.equal(error.tell.replace(/ in (1 minute|1 second|7 seconds|2 minutes)/, " in {wait}"), tell);
        // The time doubles, is spread, and comes on top of what the service says.
        waits.forEach((wait, index) => {
          const more = wait - (seconds ?? 0) * 1000;
          assert.ok(more >= 1000 * 2 ** index && more <= 1500 * 2 ** index, `${waits}`);
        });
        assert.ok(waits.reduce((a, b) => a + b, 0) <= atMostSeconds * 1000, `${waits}`);
        const [fewest, most] = seconds === 61 || !atMostSeconds ? [0, 0] : atMostSeconds === 60 ? [4, 6] : [0, 3];
        assert.ok(waits.length >= fewest && waits.length <= most, `${waits}`);
      }));
  }
}

test("each reason of a failed attempt is told in its words", async () => {
  for (const [code, tell] of Object.entries(CONTRACT["x-failures"])) {
    const answer = { status: "ResultAvailable", passed: false, attempts: 1, failure: { code, message: "" } };
    const broker = client({ fetch: async () => new Response(JSON.stringify(answer)) });
    assert.equal((await broker.result({ sessionId: "s", authToken: "t" })).tell, tell);
    assert.equal(SENTENCES[code], tell);
  }
});

for (const { when, outcome, tell, tellByFailureCode } of CONTRACT["x-results"].filter((row) => row.outcome)) {
  test(`an answer with ${when} is told as the contract says`, async () => {
    const values = Object.fromEntries([...when.matchAll(/`([\w.]+): (\w+)`/g)].map(([, name, value]) => [name, value]));
    const { status = "ResultAvailable", "failure.code": code = tellByFailureCode ? "New" : undefined } = values;
    const passed = outcome === "done" ? undefined : values.passed === "true";
    const answer = { status, passed, attempts: 1, failure: code ? { code, message: "" } : null };
    const broker = client({ fetch: async () => new Response(JSON.stringify(answer)) });
    const result = await broker.result({ sessionId: "s", authToken: "t" });

    assert.deepEqual([result.outcome, result.tell], [outcome, tell]);
  });
}

test("errors without a known code are those of the contract", () => {
  const statuses = { 401: [401], 429: [429], client: [404, 499], server: [500, 599] };
  assert.deepEqual(Object.keys(CONTRACT["x-status-errors"]), Object.keys(statuses));
  for (const [key, row] of Object.entries(CONTRACT["x-status-errors"])) {
    for (const status of statuses[key]) assertTold(new LivenessError("New", { status }), row);
  }
  for (const [code, row] of Object.entries(CONTRACT["x-client-errors"])) assertTold(new LivenessError(code), row);

  function assertTold(error, { again, atMostSeconds, tell }) {
    const told = error.tell.replace("1 minute", "{wait}");
    assert.deepEqual([error.again, error.atMost, told], [again, atMostSeconds, tell]);
  }
});

test("a code that every JavaScript object has as a member is one more unknown code", async () => {
  const answer = { status: "ResultAvailable", passed: false, attempts: 1, failure: { code: "constructor", message: "" } };
  const broker = client({ fetch: async () => new Response(JSON.stringify(answer)) });
  assert.equal((await broker.result({ sessionId: "s", authToken: "t" })).tell, "The check was not successful.");
  assert.equal(new LivenessError("constructor", { status: 500 }).again, "now");
});

test("nobody is told to wait for no time", () => {
  const error = new LivenessError("DeviceThrottled", { status: 429, retryAfterSeconds: 0 });
  assert.match(error.tell, /in 1 second\./);
});

for (const page of ["<html>", "null", "[1]", '"text"', "7", "{}", '{"sessionId": "a"}', '{"error": "portal"}']) {
  test(`an answer that is not the service's is no connection: ${page}`, async () => {
    const fetch = async () => new Response(page);
    const waits = [];
    const time = { sleep: async (wait) => void waits.push(wait), now: () => waits.reduce((a, b) => a + b, 0) };
    const broker = client({ fetch, ...time });

    const created = await broker.create().catch((thrown) => thrown);
    const read = await broker.result({ sessionId: "a", authToken: "t" }, { digest: "d" }).catch((thrown) => thrown);

    assert.deepEqual([created.code, read.code], ["NoConnection", "NoConnection"]);
    assert.ok(waits.length >= 10, `${waits}`);
  });
}

for (const body of ["null", "[]", '"text"', '{"error": "text"}', '{"error": {"code": 7}}', '{"error": null}']) {
  test(`an error that is not the service's is understood by its status: ${body}`, async () => {
    const broker = client({ fetch: async () => new Response(body, { status: 403 }) });
    const error = await broker.create().catch((thrown) => thrown);

    assert.deepEqual([error.code, error.again], ["Http403", "never"]);
  });
}

test("a gateway's page is repeated too", () =>
  against([[502, "<html>"]], async (broker, waits) => {
    const error = await broker.create().catch((thrown) => thrown);

    assert.deepEqual([error.code, error.again], ["Http502", "now"]);
    assert.ok(waits.length >= 5);
  }));

test("a wait that is longer than the client goes on is left to the person", () =>
  against([[503, { error: { code: "UpstreamThrottled", retryAfterSeconds: 61 } }]], async (broker, waits) => {
    const error = await broker.create().catch((thrown) => thrown);

    assert.deepEqual([error.retryAfterSeconds, waits], [61, []]);
  }));

test("polls wait as the service says, and end", () =>
  against([[200, { status: "Started", failure: null, retryAfterSeconds: 9 }]], async (broker, waits) => {
    const error = await broker.result({ sessionId: "a", authToken: "t" }, { digest: "d" }).catch((thrown) => thrown);

    assert.deepEqual([error.code, error.again], ["NoResultYet", "later"]);
    assert.deepEqual(waits, Array(10).fill(9000));
  }));

test("a read that keeps failing ends with the time for a result", () => {
  const failure = [502, { error: { code: "UpstreamFailure" } }];
  const waiting = [200, { status: "Started", failure: null, retryAfterSeconds: 50 }];
  return against([waiting, failure], async (broker, waits) => {
    const error = await broker.result({ sessionId: "a", authToken: "t" }, { digest: "d" }).catch((thrown) => thrown);

    assert.equal(error.code, "UpstreamFailure");
    assert.ok(waits.length > 4 && waits.reduce((a, b) => a + b, 0) <= 90000, `${waits}`);
  });
});

test("hidden results are done", () =>
  against([[200, { status: "ResultAvailable", sessionId: "a" }]], async (broker) => {
    assert.equal((await broker.result({ sessionId: "a", authToken: "t" })).outcome, "done");
  }));

test("no connection is told, after some tries", async () => {
  const waits = [];
  const now = () => waits.reduce((a, b) => a + b, 0);
  const broker = client({ url: "http://127.0.0.1:1", sleep: async (wait) => void waits.push(wait), now });
  const error = await broker.create().catch((thrown) => thrown);

  assert.deepEqual([error.code, error.status, error.again], ["NoConnection", 0, "now"]);
  assert.ok(waits.length >= 5);
});

test("the caller can end it, while it waits too", async () => {
  const end = new AbortController();
  const sleep = (_milliseconds, signal) => new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    end.abort(new Error("closed by the person"));
  });
  const broker = client({ sleep });
  const session = await broker.create({ request: device("no-attempt") });

  await assert.rejects(broker.result(session, { signal: end.signal }), /closed by the person/);
  await assert.rejects(broker.create({ request: device(), signal: end.signal }), /closed by the person/);
});
