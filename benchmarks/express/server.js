// The least that an Express app does in the broker's place: it hands a create on to Face with the key, and the answer back.
import express from "express";

const [url, key] = process.argv.slice(2);
const headers = { "Content-Type": "application/json", "Ocp-Apim-Subscription-Key": key };

const app = express();
app.use(express.json());
app.post("/api/sessions", async (request, response) => {
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(request.body) });
  response.status(answer.status).json(await answer.json());
});
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
