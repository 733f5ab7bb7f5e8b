// What was asked and what is being answered: the state of the page, and all that changes it.

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
    const words = this.conversation.title.toLowerCase().match(/[a-z0-9]+/g) ?? ["chat"];
    download(`${words.join("-")}.json`, exported(this.conversation));
    return "saved as a JSON file";
  },
  save(conversation = this.conversation) {
    if (!this.store.save(conversation)) {
      toast("This browser has no room left: delete conversations to keep new ones");
    }
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
    const isFirst = conversation.turns.length === 1;
    if (isFirst && !conversation.isNamed) conversation.title = titleFrom(text);
    $("notes").replaceChildren();
    this.answer();
  },
  answer() {
    const { conversation, settings } = this;
    const messages = messagesOf(conversation.turns, settings.system);
    const answers = Array.from({ length: settings.numAnswers }, newAnswer);
    const turn = { role: "assistant", model: settings.model, chosen: 0, answers };
    conversation.turns.push(turn);
    conversation.updatedMs = Date.now();
    this.editing = null;
    const controller = new AbortController();
    this.run = { conversation, turn, controller, savedMs: performance.now() };
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
      turn.numUnread = (response.headers.get("x-labcli-dropped-messages") ?? 0) / 2;
      for await (const chunk of eventsOf(response)) {
        takeChunk(turn, chunk);
        this.drawSoon(run);
      }
      ending = "done";
    } catch (error) {
      if (error.name !== "AbortError") {
        ending = "failed";
        const open = turn.answers.filter((answer) => answer.state === "waiting");
        for (const answer of open) answer.error = error.message;
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
    const { seed } = this.settings;
    if (seed !== null) toast(`The seed is ${seed}: the same settings give the same answer`);
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
        defaultModel: () => this.models[0]?.id,
        settings: this.settings, isLast: index === this.conversation.turns.length - 1,
        actions: {
          regenerate: () => this.regenerate(index),
          choose: (choice) => this.choose(turn, choice),
        },
      });
    }
    if (this.editing !== index) {
      return { node: userView(turn, { edit: () => this.edit(index) }), update };
    }
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
