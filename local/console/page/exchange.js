// Sends a request and reads its answer; writes it as a curl command.

// Never rejects: without an answer it resolves with `failure` in place of a status.
export async function send(request) {
  const started = performance.now();
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body: request.body,
      cache: "no-store",
      credentials: "omit",
    });
    const text = await response.text();
    const { status, statusText, headers } = response;
    return { status, statusText, headers, text, json: parsed(text), milliseconds: since(started) };
  } catch (error) {
    return { failure: error.message, text: "", milliseconds: since(started) };
  }
}

export function curl(request) {
  const lines = [`curl -i -X ${request.method} ${quoted(request.url)}`];
  for (const [name, value] of Object.entries(request.headers)) {
    lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (request.body !== undefined) lines.push(`--data-raw ${quoted(request.body)}`);
  return lines.join(" \\\n  ");
}

// One sentence about an answer that is an error.
export function trouble(answer) {
  if (answer.failure) return `No answer: ${answer.failure}`;
  const error = answer.json?.error;
  if (!error) return answer.statusText;
  const wait = answer.headers.get("Retry-After");
  // If the error has `retryAfterSeconds`, its message says how long to wait.
  const advice = wait && error.retryAfterSeconds === undefined ? ` Retry-After: ${wait} s.` : "";
  return `${error.code}: ${error.message}${advice}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function since(started) {
  return Math.round(performance.now() - started);
}
