// Draws turns. Each answer on the page has a view that a running stream updates in place.

const SUGGESTIONS = ["What is 27 * 14?", "Spell the word garden.", "How many r are in strawberry?"];

function emptyView(ask) {
  return make("div", { class: "empty" }, make("h2", null, "What do you want to ask it?"),
    make("p", { class: "fine" }, "Enter sends. Type / for commands, or press ? for help."),
    make("div", { class: "row" }, ...SUGGESTIONS.map((text) => button(text, () => ask(text)))));
}

function userView(turn, actions) {
  return make("article", { class: "turn user", "aria-label": "You" },
    make("div", { class: "said" }, turn.text),
    make("div", { class: "small" },
      button("Copy", () => copyAndSay(turn.text), { "aria-label": "Copy your message" }),
      button("Edit", actions.edit, { "aria-label": "Edit your message" })));
}

function editorView(turn, actions) {
  const area = make("textarea", { rows: "3", "aria-label": "Edit your message" });
  area.value = turn.text;
  const send = () => { if (area.value.trim()) actions.resend(area.value); };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); actions.cancel(); }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  const row = make("div", { class: "row" },
    make("span", { class: "fine" }, "What follows is asked anew."),
    button("Cancel", actions.cancel), button("Send again", send, { class: "primary" }));
  return make("article", { class: "turn user", "aria-label": "You" },
    make("div", { class: "editor" }, area, row));
}

// A call and what it gave stand in one line.
function plainBody(answer) {
  const nodes = [];
  for (const part of answer.parts) {
    if (part.type === "text") {
      nodes.push(...markdown(part.text));
      continue;
    }
    const name = make("span", { class: "fine" }, TOOL_NAMES[part.type] ?? part.type);
    const isResult = part.type === "python_output" && nodes.at(-1)?.className === "tool";
    if (!isResult) nodes.push(make("p", { class: "tool" }));
    nodes.at(-1).append(name, make("span", null, part.text));
  }
  return nodes;
}

const numTokens = (answer) => answer.tokens.filter((token) => typeof token[1] === "number").length;

// Returns the figures as short texts that are not broken over lines.
function statsWords(turn, answer) {
  const stats = answer.stats;
  if (answer.state === "waiting") {
    if (!answer.firstMs) return ["waiting for the first token"];
    const seconds = (performance.now() - answer.firstMs) / 1000;
    const count = numTokens(answer);
    const rate = seconds > 0.3 ? [`${(count / seconds).toFixed(1)} tok/s`] : [];
    return [`${count} tokens`, ...rate];
  }
  const words = answer.state === "done" ? [] : [answer.state];
  const count = stats?.tokens ?? numTokens(answer);
  words.push(`${count} tokens`);
  if (stats?.tok_per_sec) words.push(`${stats.tok_per_sec.toFixed(1)} tok/s`);
  if (stats?.ttft_s) words.push(`first token ${(1000 * stats.ttft_s).toFixed(0)} ms`);
  if (stats?.context) {
    const { used, trained, max } = stats.context;
    words.push(`context ${used} of ${trained} trained (max ${max})`);
  }
  const bits = meanBits(answer);
  if (bits !== null) words.push(`mean entropy ${bits.toFixed(2)} bits`);
  if (stats?.seed !== undefined) words.push(`seed ${stats.seed}`);
  if (stats?.finish === "length") words.push("cut at the token limit");
  return words;
}

// What the conversation has lost at its beginning to stay within the model's reach.
function unreadWords({ numUnread }) {
  if (!numUnread) return "";
  return numUnread === 1 ? "The oldest question and its answer no longer fit and were not read."
    : `The oldest ${numUnread} questions and their answers no longer fit and were not read.`;
}

// view: {node, update}; update() shows what a stream has added since.
function answerView(turn, answer, index, options) {
  const { settings } = options;
  const isSpread = turn.answers.length > 1;
  const body = make("div", { class: "body" });
  const stats = make("p", { class: "stats" });
  const problem = make("p", { class: "error" });
  const unread = make("p", { class: "fine unread" });
  const tools = make("div", { class: "small" });
  const name = isSpread ? `Answer ${index + 1} of ${turn.answers.length}` : "Answer";
  const node = make("div", { class: "answer", role: "group", "aria-label": name },
    body, problem, unread, stats, tools);
  let box = null;
  const update = () => {
    const isWaiting = answer.state === "waiting";
    body.classList.toggle("waiting", isWaiting);
    if (settings.hasEntropy && answer.tokens.length) {
      if (box) showTokens(box, answer);
      else body.replaceChildren(box = tokenBox(answer, () => turn.model));
    } else {
      body.replaceChildren(...plainBody(answer));
      const isEmpty = !isWaiting && !answer.parts.length && !answer.error;
      if (isEmpty) body.append(make("p", { class: "fine" }, "(no text)"));
    }
    problem.textContent = answer.error ?? "";
    problem.hidden = !answer.error;
    unread.textContent = unreadWords(turn);
    unread.hidden = !unread.textContent;
    // A refusal says all there is to say.
    stats.hidden = !settings.hasStats || Boolean(answer.error && !answer.tokens.length);
    const words = statsWords(turn, answer);
    stats.replaceChildren(...words.flatMap((word) => [make("span", null, word), " "]));
    node.classList.toggle("chosen", isSpread && turn.chosen === index);
    tools.replaceChildren(...(isWaiting ? [] : answerTools(turn, answer, index, options)));
  };
  update();
  return { node, update };
}

function answerTools(turn, answer, index, { actions, isLast }) {
  const name = turn.answers.length > 1 ? ` ${index + 1}` : "";
  const label = `Copy answer${name}`;
  const tools = answer.parts.length
    ? [button("Copy", () => copyAndSay(textOf(answer)), { "aria-label": label })] : [];
  if (turn.answers.length > 1) {
    const isChosen = turn.chosen === index;
    if (isLast) {
      tools.push(button(isChosen ? "Chosen" : "Go on with this", () => actions.choose(index), {
        class: "choose", "aria-pressed": String(isChosen), "aria-label": `Go on with answer${name}`,
      }));
    } else if (isChosen) tools.push(make("span", { class: "fine" }, "chosen"));
  }
  if (turn.answers.length === 1) {
    const word = answer.state === "failed" ? "Try again" : "Regenerate";
    const told = `${word}: answer this question again`;
    tools.push(button(word, actions.regenerate, { "aria-label": told }));
  }
  return tools;
}

function assistantView(turn, options) {
  const isSpread = turn.answers.length > 1;
  const views = turn.answers.map((answer, index) => answerView(turn, answer, index, options));
  const name = () => turn.model || options.defaultModel() || "model";
  const who = make("span", { class: "who" }, name());
  const head = make("div", { class: "small" }, who);
  if (isSpread && !turn.answers.some((answer) => answer.state === "waiting")) {
    head.append(button("Regenerate all", options.actions.regenerate));
  }
  const node = make("article", { class: isSpread ? "turn spread" : "turn", "aria-label": "Model" },
    head, legendFor(options), make("div", { class: "answers" }, ...views.map((view) => view.node)));
  const update = () => {
    who.textContent = name();
    for (const view of views) view.update();
  };
  return { node, update };
}

const legendFor = ({ settings, isLast }) => (settings.hasEntropy && isLast ? legend() : null);
