// Calls of the server and its streamed answers. Paths are relative: a proxy may add a prefix.

class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function call(path, body, signal) {
  const options = body === undefined ? { signal } : {
    signal, method: "POST", body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer.", 0);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  const wait = response.headers.get("retry-after");
  const message = told?.error?.message ?? `the server answered with ${response.status}`;
  throw new ServerError(wait ? `${message} (in ${wait} s)` : message, response.status);
}

// Yields the objects of a stream of server-sent events; fails when it breaks off before [DONE].
async function* eventsOf(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "data: [DONE]") return;
        if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  throw new ServerError("The connection broke before the answer was complete.", 0);
}

// Adds what a chunk holds to the answers of a turn.
function takeChunk(turn, chunk) {
  if (chunk.error) throw new ServerError(chunk.error.message, 500);
  if (chunk.model) turn.model = chunk.model;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const answer = turn.answers[choice.index];
  const lab = chunk.lab ?? {};
  const text = choice.delta?.content ?? "";
  answer.firstMs ??= performance.now();
  if (text) addPart(answer, "text", text);
  if (lab.id !== undefined) {
    const token = [text, lab.id, lab.is_forced];
    if (lab.entropy_nats !== undefined) {
      token.push(lab.entropy_nats, lab.surprisal_nats, lab.rank, lab.top);
    }
    answer.tokens.push(token);
  } else if (text) {
    answer.tokens.push([text, null, false]);
  }
  for (const part of lab.parts ?? []) {
    addPart(answer, part.type, part.text);
    answer.tokens.push([part.text, part.type]);
  }
  if (choice.finish_reason) {
    answer.state = "done";
    answer.stats = { ...lab, finish: choice.finish_reason };
    delete answer.stats.parts;
  }
}

// The text of token ids, asked for once per model; a model that is gone is not asked for again.
const pieces = new Map();
const goneModels = new Set();
async function piecesOf(model, ids) {
  const keyOf = (id) => `${model} ${id}`;
  const missing = ids.filter((id) => !pieces.has(keyOf(id)));
  if (missing.length && !goneModels.has(model)) {
    try {
      const response = await call("detokenize", { model, ids: missing });
      const told = (await response.json()).pieces;
      told.forEach((piece, index) => pieces.set(keyOf(missing[index]), piece));
    } catch (error) {
      if (error.status === 404) goneModels.add(model);
    }
  }
  return ids.map((id) => pieces.get(keyOf(id)) ?? `#${id}`);
}
