// All calls of v1.2 with Microsoft's SDK; prints what it saw. Arguments: the folder of modules, the endpoint, the key.

const [modules, endpoint, key] = process.argv.slice(2);
const { default: createClient } = require(`${modules}/@azure-rest/ai-vision-face`);

async function main() {
  const client = createClient(endpoint, { key }, { allowInsecureConnection: true });
  const body = {
    livenessOperationMode: "PassiveActive",
    deviceCorrelationId: "sim-spoofface",
    enableSessionImage: true,
  };
  const created = await client.path("/detectLiveness-sessions").post({ body });
  const { sessionId, authToken } = created.body;
  const headers = { Authorization: `Bearer ${authToken}` };
  await fetch(`${endpoint}/simulator/perform`, { method: "POST", headers });
  const session = client.path("/detectLiveness-sessions/{sessionId}", sessionId);
  const read = await session.get();
  const { livenessDecision, sessionImageId } = read.body.results.attempts[0].result;
  const image = await client.path("/sessionImages/{sessionImageId}", sessionImageId).get().asNodeStream();
  const bytes = Buffer.concat(await image.body.toArray());
  const deleted = await session.delete();
  const gone = await session.get();
  const answers = [created, read, image, deleted, gone];
  const seen = {
    statuses: answers.map((answer) => answer.status),
    decision: livenessDecision,
    image: [...bytes.subarray(0, 3)],
    code: gone.body.error.code,
  };
  console.log(JSON.stringify(seen));
}

main();
