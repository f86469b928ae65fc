// What an answer means: one sentence, and its colour if the status does not decide that.

import { trouble } from "./exchange.js";

export function ofCreate(answer, isSame) {
  if (answer.status === 200) {
    return [isSame ? "The same answer again: no new session was created." : "The session is created."];
  }
  const throttled = answer.json?.error?.code === "DeviceThrottled";
  return [trouble(answer) + (throttled ? " Or use another device." : "")];
}

export function ofCheck(answer) {
  if (answer.status !== 200) return [trouble(answer)];
  const { digest, error, livenessDecision } = answer.json;
  if (error) return [`${error.code}: ${error.message}`, "warn"];
  if (!digest) return ["There was no attempt.", "warn"];
  const decision = livenessDecision ? ` The decision is \`${livenessDecision}\`.` : "";
  return [`The phone has a digest.${decision}`];
}

export function ofResult(answer) {
  if (answer.status !== 200) return [trouble(answer)];
  const { headers, json } = answer;
  if (headers.has("Retry-After")) {
    const failed = json.failure ? ` The last attempt failed: \`${json.failure.code}\`. Perform again.` : "";
    return [`No result yet: \`${json.status}\`.${failed} Ask again in ${headers.get("Retry-After")} s.`, "warn"];
  }
  if (json.passed === undefined) return [`\`${json.status}\`: the broker shows no decision, or none without a digest.`];
  const verdict = json.passed ? "Passed" : "Not passed";
  return [`${verdict}: ${reasons(json).join(", ")}.`, json.passed ? "good" : "bad"];
}

export function ofRevocation(answer) {
  return [answer.status === 204 ? "The session is deleted, and its token no longer works." : trouble(answer)];
}

function reasons({ status, livenessDecision, failure, digestMatches, abuseDetected }) {
  const found = [`\`${status}\``];
  if (livenessDecision) found.push(`decision \`${livenessDecision}\``);
  if (failure) found.push(`\`${failure.code}\``);
  if (digestMatches !== null) found.push(digestMatches ? "the digest matches" : "the digest differs");
  if (abuseDetected) found.push("abuse was detected");
  return found;
}
