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
    const help = make("span", { class: "fine" }, one.help);
    const item = make("li", null, `/${one.name} ${one.args}`, help);
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
