// The page: what was asked, what is being answered, and what the keys do.

const HEALTHY_MS = 15000;
const LOST_MS = 2000;
const SAVE_MS = 1000;
const AT_END_PX = 60;
const DRAW_MS = 50;

const app = {
  settings: loadSettings(),
  store: new Store(),
  conversation: newConversation(),
  models: [],
  commands: [],
  run: null,
  editing: null,
  views: [],

  // Settings.
  change(changes, typing) {
    Object.assign(this.settings, changes);
    storage.set(SETTINGS_KEY, this.settings);
    applyTheme(this.settings.theme);
    showSettings(this.settings, typing);
    if ("model" in changes) showModels(this.models, this.settings.model);
    if ("hasStats" in changes || "hasEntropy" in changes) this.draw();
  },

  // Conversations.
  open(id) {
    const found = this.store.byId.get(id);
    if (!found) return;
    this.show(found);
  },
  startNew() {
    this.show(newConversation());
  },
  show(conversation) {
    this.conversation = conversation;
    this.editing = null;
    $("notes").replaceChildren();
    if (isSideOpen()) showSide(false);
    this.draw();
    renderList(this);
    scrollToEnd();
    focusBox();
  },
  rename(conversation, title) {
    conversation.title = title;
    conversation.isNamed = true;
    this.save(conversation);
  },
  remove(conversation) {
    if (this.run?.conversation === conversation) this.stop();
    this.store.remove(conversation.id);
    this.startNew();
    toast(`Deleted "${conversation.title}"`, {
      label: "Undo", run: () => { this.save(conversation); this.show(conversation); },
    });
  },
  exportCurrent() {
    const name = this.conversation.title.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "").toLowerCase();
    download(`${name || "chat"}.json`, exported(this.conversation));
    return "saved as a JSON file";
  },
  save(conversation = this.conversation) {
    if (!this.store.save(conversation)) toast("This browser has no room left: delete conversations to keep new ones");
    renderList(this);
  },

  // Asking. One answer at a time, in whichever conversation.
  isBusy() {
    if (this.run) toast("An answer is being written; stop it first");
    return Boolean(this.run);
  },
  ask(text) {
    if (this.isBusy()) return;
    const { conversation } = this;
    conversation.turns.push({ role: "user", text });
    if (!conversation.isNamed && conversation.turns.length === 1) conversation.title = titleFrom(text);
    $("notes").replaceChildren();
    this.answer();
  },
  answer() {
    const { conversation, settings } = this;
    const messages = messagesOf(conversation.turns, settings.system);
    const answers = Array.from({ length: settings.numAnswers }, () => ({ state: "waiting", parts: [], tokens: [] }));
    const turn = { role: "assistant", model: settings.model, chosen: 0, answers };
    conversation.turns.push(turn);
    conversation.updatedMs = Date.now();
    this.editing = null;
    this.run = { conversation, turn, controller: new AbortController(), savedMs: performance.now() };
    this.save(conversation);
    this.draw();
    scrollToEnd();
    announce("The model is answering.");
    return this.stream(this.run, requestBody(settings, messages));
  },
  async stream(run, body) {
    const { turn, conversation, controller } = run;
    let ending = "stopped";
    try {
      const response = await call("v1/chat/completions", body, controller.signal);
      for await (const chunk of eventsOf(response)) {
        takeChunk(turn, chunk);
        this.drawSoon(run);
      }
      ending = "done";
    } catch (error) {
      if (error.name !== "AbortError") {
        ending = "failed";
        for (const answer of turn.answers) if (answer.state === "waiting") answer.error = error.message;
        if (error.status === 0 || error.status === 401) checkHealth();
      }
    }
    for (const answer of turn.answers) {
      if (answer.state === "waiting") answer.state = ending;
      delete answer.firstMs;
    }
    this.run = null;
    if (this.store.byId.has(conversation.id)) this.save(conversation);
    if (conversation === this.conversation) this.finishView(turn);
    else this.drawControls();
  },
  finishView(turn) {
    const isAtEnd = atEnd();
    this.draw();
    if (isAtEnd) scrollToEnd();
    const [first] = turn.answers;
    announce(turn.answers.length > 1 ? `${turn.answers.length} answers are there.`
      : first.error ?? `Answer: ${textOf(first) || "no text"}`);
    contextOf(turn.model).then(() => this.views.at(-1)?.update()).catch(() => { /* shown without it */ });
  },
  stop() {
    this.run?.controller.abort();
  },
  truncate(length) {
    this.conversation.turns.length = length;
  },
  regenerate(index) {
    if (this.isBusy()) return null;
    this.truncate(index);
    if (this.settings.seed !== null) toast(`The seed is fixed at ${this.settings.seed}: the same settings give the same answer`);
    this.answer();
    focusBox();
    return null;
  },
  retry() {
    const last = this.conversation.turns.length - 1;
    return last < 1 ? fault("there is no question yet") : this.regenerate(last);
  },
  edit(index) {
    if (this.isBusy()) return;
    this.editing = index;
    this.draw();
    const area = document.querySelector(".editor textarea");
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  },
  editLast() {
    const index = this.conversation.turns.findLastIndex((turn) => turn.role === "user");
    if (index >= 0) this.edit(index);
  },

  // Drawing.
  draw() {
    const { turns } = this.conversation;
    this.views = turns.map((turn, index) => this.turnView(turn, index));
    const empty = turns.length ? [] : [emptyView((text) => this.ask(text))];
    $("turns").replaceChildren(...empty, ...this.views.map((view) => view.node));
    $("turns").classList.toggle("several", turns.some((turn) => turn.answers?.length > 1));
    document.title = turns.length ? `${this.conversation.title} - labcli` : "labcli chat";
    hideTip();
    this.drawControls();
  },
  turnView(turn, index) {
    const update = () => {};
    if (turn.role === "assistant") {
      return assistantView(turn, {
        settings: this.settings, isLast: index === this.conversation.turns.length - 1,
        contextFor: (model) => contexts.get(model),
        actions: { regenerate: () => this.regenerate(index), choose: (choice) => this.choose(turn, choice) },
      });
    }
    if (this.editing !== index) return { node: userView(turn, { edit: () => this.edit(index) }), update };
    const node = editorView(turn, {
      resend: (text) => { this.truncate(index); this.ask(text); focusBox(); },
      cancel: () => { this.editing = null; this.draw(); focusBox(); },
    });
    return { node, update };
  },
  choose(turn, choice) {
    turn.chosen = choice;
    this.save();
    this.views.at(-1).update();
    announce(`The conversation goes on with answer ${choice + 1}.`);
    focusBox();
  },
  drawSoon(run) {
    if (performance.now() - run.savedMs > SAVE_MS) {
      run.savedMs = performance.now();
      this.store.save(run.conversation);
    }
    if (run.timer) return;
    run.timer = setTimeout(() => {
      run.timer = 0;
      if (run.conversation !== this.conversation || this.run !== run) return;
      const isAtEnd = atEnd();
      this.views.at(-1).update();
      if (isAtEnd) scrollToEnd();
    }, DRAW_MS);
  },
  drawControls() {
    $("send").hidden = Boolean(this.run);
    $("stop").hidden = !this.run;
    $("log").setAttribute("aria-busy", String(Boolean(this.run)));
  },
  showHelp() {
    $("help-body").replaceChildren(...helpView(this.commands));
    $("help").showModal();
  },
  note(answer) {
    if (!answer) return;
    const { text, isFault } = typeof answer === "string" ? { text: answer } : answer;
    $("notes").append(make("p", { class: `note${isFault ? " problem" : ""}` }, text));
    announce(text);
    scrollToEnd();
  },
};

function atEnd() {
  const log = $("log");
  return log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PX;
}

function scrollToEnd() {
  $("log").scrollTop = $("log").scrollHeight;
}

// The message box. On a touch screen the focus would raise the keyboard over what was said.
const isTouch = () => matchMedia("(pointer: coarse)").matches;
function focusBox() {
  if (!isTouch()) $("message").focus();
}

function submit() {
  const box = $("message");
  const text = box.value.trim();
  if (!text) return;
  if (/^\/(?!\/)/.test(text)) {
    clearBox();
    app.note(runCommand(app, text));
  } else if (!app.isBusy()) {
    clearBox();
    app.ask(text.replace(/^\/\//, "/"));
  }
}

function clearBox() {
  $("message").value = "";
  fitBox();
}

function fitBox() {
  const box = $("message");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
  const found = matching(app.commands, box.value);
  $("hints").hidden = found.length === 0;
  $("hints").replaceChildren(...found.map((one) => {
    const item = make("li", null, `/${one.name} ${one.args}`, make("span", { class: "fine" }, one.help));
    item.addEventListener("click", () => complete(one));
    return item;
  }));
}

function complete(command) {
  const box = $("message");
  box.value = `/${command.name} `;
  fitBox();
  box.focus();
}

function typeKey(event) {
  const box = $("message");
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey && !isTouch()) {
    event.preventDefault();
    submit();
  } else if (event.key === "Tab" && !event.shiftKey && matching(app.commands, box.value).length) {
    event.preventDefault();
    complete(matching(app.commands, box.value)[0]);
  } else if (event.key === "ArrowUp" && box.value === "") {
    event.preventDefault();
    app.editLast();
  }
}

function pageKey(event) {
  const isTyping = event.target.closest?.("input, textarea, select");
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if ((event.ctrlKey || event.metaKey) && event.shiftKey && "no".includes(event.key.toLowerCase())) {
    event.preventDefault();
    app.startNew();
  } else if (document.querySelector("dialog[open]")) {
    return;
  } else if (event.key === "Escape") {
    if (!$("tip").hidden) hideTip();
    else if (isSideOpen()) showSide(false);
    else if (!$("hints").hidden) $("hints").hidden = true;
    else app.stop();
  } else if (event.key === "?" && isPlain && !isTyping) {
    event.preventDefault();
    app.showHelp();
  } else if (event.key === "/" && isPlain && !isTyping) {
    event.preventDefault();
    $("message").focus();
  }
}

// The server: gone, back, asking for a token.
let healthTimer = 0;
let isLost = false;

function banner(text) {
  if ($("banner").textContent !== text) $("banner").textContent = text;
  $("banner").hidden = !text;
}

async function checkHealth() {
  clearTimeout(healthTimer);
  let delay = HEALTHY_MS;
  try {
    const health = await (await call("health", undefined, AbortSignal.timeout(HEALTHY_MS))).json();
    if (isLost || !app.models.length) await loadModels();
    if (isLost) announce("The server answers again.");
    isLost = false;
    banner(health.ready ? "" : "The server is loading its model.");
    if (!health.ready) delay = LOST_MS;
  } catch (error) {
    isLost = true;
    delay = LOST_MS;
    banner(error.status === 401
      ? "The server asks for a token: open this page once with ?token=TOKEN at the end of its address."
      : `${error.message} Trying again; what you wrote is kept.`);
  }
  if (!document.hidden) healthTimer = setTimeout(checkHealth, delay);
}

async function loadModels() {
  app.models = (await (await call("v1/models")).json()).data;
  showModels(app.models, app.settings.model);
}

function start() {
  // The cookie holds the token from here on; the address bar and the history should not.
  const address = new URL(location.href);
  if (address.searchParams.has("token")) {
    address.searchParams.delete("token");
    history.replaceState(null, "", address);
  }
  app.commands = commandTable(app);
  connectForms(app);
  app.change({});
  const on = (id, name, handler) => $(id).addEventListener(name, handler);
  on("composer", "submit", (event) => { event.preventDefault(); submit(); });
  on("message", "keydown", typeKey);
  on("message", "input", fitBox);
  on("stop", "click", () => { app.stop(); focusBox(); });
  on("new", "click", () => app.startNew());
  on("open-side", "click", () => showSide(true));
  on("close-side", "click", () => showSide(false));
  on("shade", "click", () => showSide(false));
  on("to-end", "click", scrollToEnd);
  on("log", "scroll", () => { $("to-end").hidden = atEnd(); placeTip(); });
  document.addEventListener("keydown", pageKey);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) checkHealth(); });
  // Else the browser breaks the stream off while the page is still there to call it an error.
  addEventListener("beforeunload", () => app.stop());
  addEventListener("pagehide", () => { if (app.run) app.store.save(app.run.conversation); });
  addEventListener("storage", (event) => {
    if (!event.key?.startsWith(CHAT_PREFIX)) return;
    const changed = app.store.reload(event.key);
    if (changed?.id === app.conversation.id && !app.run && app.editing === null) {
      app.conversation = changed;
      app.draw();
    }
    renderList(app);
  });
  app.show(app.store.list()[0] ?? app.conversation);
  checkHealth();
}

start();
