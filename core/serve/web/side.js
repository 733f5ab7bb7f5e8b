// The list of conversations, and the drawer that holds it on a narrow screen.

function renderList(app) {
  const items = app.store.list().map((conversation) => conversationItem(app, conversation));
  $("list").replaceChildren(...items);
}

function conversationItem(app, conversation) {
  const isCurrent = conversation.id === app.conversation.id;
  const item = make("li", { class: isCurrent ? "current" : null });
  const open = button(conversation.title, () => app.open(conversation.id), {
    class: "open", title: conversation.title, "aria-current": isCurrent ? "true" : null,
  });
  item.append(open);
  if (isCurrent) {
    item.append(make("div", { class: "small" },
      button("Rename", () => renameIn(app, item, conversation)),
      button("Export", () => app.exportCurrent()),
      button("Delete", () => app.remove(conversation))));
  }
  return item;
}

function renameIn(app, item, conversation) {
  const input = make("input", { "aria-label": "Name of the conversation", maxlength: "120" });
  input.value = conversation.title;
  let isDone = false;
  const finish = (isKept) => {
    if (isDone) return;
    isDone = true;
    if (isKept && input.value.trim()) app.rename(conversation, input.value.trim());
    renderList(app);
    document.querySelector("#list .current .open")?.focus();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) finish(true);
    if (event.key === "Escape") { event.stopPropagation(); finish(false); }
  });
  input.addEventListener("blur", () => finish(true));
  item.replaceChildren(input);
  input.select();
}

function showSide(isShown) {
  $("side").classList.toggle("open", isShown);
  $("shade").hidden = !isShown;
  $("open-side").setAttribute("aria-expanded", String(isShown));
  $("main").inert = isShown;
  if (isShown) $("close-side").focus();
  else if ($("side").contains(document.activeElement)) $("open-side").focus();
}

const isSideOpen = () => $("side").classList.contains("open");
