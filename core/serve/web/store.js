// Conversations, one key of the browser's storage each, so that two tabs do not overwrite another.
//
// A conversation is {id, title, isNamed, createdMs, updatedMs, turns}; a turn is
// {role: "user", text} or {role: "assistant", model, numUnread, answers, chosen}, in turns, where
// numUnread questions with their answers were left out at the beginning;
// an answer is {state, parts, tokens, stats, error}. A token is
// [text, id, isForced, entropy_nats, surprisal_nats, rank, top], the last four absent without a
// probe; [text, "python"] and [text, "python_output"] stand where a tool was called.

const CHAT_PREFIX = "labcli.chat.";
const MAX_TITLE_CHARS = 60;

function newId() {
  // randomUUID needs https, which a chat on the local network does not have.
  const words = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(words, (word) => word.toString(36)).join("");
}

function newConversation() {
  const now = Date.now();
  return {
    id: newId(), title: "New chat", isNamed: false, createdMs: now, updatedMs: now, turns: [],
  };
}

function newAnswer() {
  return { state: "waiting", parts: [], tokens: [] };
}

function isAnswer(answer) {
  return ["waiting", "done", "stopped", "failed"].includes(answer?.state)
    && Array.isArray(answer.parts) && Array.isArray(answer.tokens)
    && answer.parts.every((part) => typeof part?.type === "string" && typeof part.text === "string")
    && answer.tokens.every(Array.isArray);
}

function isTurn(turn, index) {
  if (index % 2 === 0) return turn?.role === "user" && typeof turn.text === "string";
  return turn?.role === "assistant" && Array.isArray(turn.answers) && turn.answers.every(isAnswer)
    && turn.answers[turn.chosen] !== undefined;
}

// Another program may have run at this address: only what has the right shape is shown.
function isConversation(value) {
  return typeof value?.id === "string" && typeof value.title === "string"
    && Number.isFinite(value.updatedMs) && Array.isArray(value.turns) && value.turns.every(isTurn);
}

class Store {
  constructor() {
    this.byId = new Map();
    for (const key of storage.keys(CHAT_PREFIX)) this.reload(key);
  }

  reload(key) {
    const value = storage.get(key);
    const id = key.slice(CHAT_PREFIX.length);
    if (!isConversation(value) || value.id !== id) {
      this.byId.delete(id);
      return null;
    }
    for (const turn of value.turns) {
      for (const answer of turn.answers ?? []) {
        if (answer.state === "waiting") answer.state = "stopped";
      }
    }
    this.byId.set(id, value);
    return value;
  }

  list() {
    return [...this.byId.values()].sort((a, b) => b.updatedMs - a.updatedMs);
  }

  // When the storage is full, the token details of the oldest conversations go first.
  save(conversation) {
    this.byId.set(conversation.id, conversation);
    const key = CHAT_PREFIX + conversation.id;
    if (storage.set(key, conversation)) return true;
    for (const other of this.list().reverse()) {
      for (const turn of other.turns) for (const answer of turn.answers ?? []) answer.tokens = [];
      if (other !== conversation) storage.set(CHAT_PREFIX + other.id, other);
      if (storage.set(key, conversation)) return true;
    }
    return false;
  }

  remove(id) {
    this.byId.delete(id);
    storage.remove(CHAT_PREFIX + id);
  }
}

function titleFrom(text) {
  const line = text.trim().split("\n", 1)[0];
  return line.length > MAX_TITLE_CHARS ? `${line.slice(0, MAX_TITLE_CHARS - 3)}...` : line;
}

function textOf(answer) {
  return answer.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
}

function addPart(answer, type, text) {
  const last = answer.parts.at(-1);
  if (type === "text" && last?.type === "text") last.text += text;
  else answer.parts.push({ type, text });
}

// What the model sees: the chosen answers. A question that failed is left out with its error.
function messagesOf(turns, system) {
  const messages = system.trim() ? [{ role: "system", content: system.trim() }] : [];
  for (let index = 0; index < turns.length; index += 2) {
    const answered = turns[index + 1];
    const chosen = answered?.answers[answered.chosen];
    if (chosen?.state === "failed" && chosen.parts.length === 0) continue;
    messages.push({ role: "user", content: turns[index].text });
    if (!chosen) continue;
    const isPlain = chosen.parts.every((part) => part.type === "text");
    messages.push({ role: "assistant", content: isPlain ? textOf(chosen) : chosen.parts });
  }
  return messages;
}

function exported(conversation) {
  const savedAt = new Date().toISOString();
  return JSON.stringify({ format: "labcli-chat", version: 1, savedAt, conversation }, null, 2);
}
