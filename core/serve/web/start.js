// Keys of the whole page, and what happens when it is opened.

function pageKey(event) {
  const isTyping = event.target.closest?.("input, textarea, select");
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const isNew = (event.ctrlKey || event.metaKey) && event.shiftKey && /^[no]$/i.test(event.key);
  if (isNew) {
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
