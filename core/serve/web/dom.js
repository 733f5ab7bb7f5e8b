// Makes elements and tells people what happens.
// Whatever a model or a person wrote becomes a text node: nothing here reads markup.

const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function button(label, onClick, attributes) {
  const node = make("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", onClick);
  return node;
}

// Screen readers hear what is appended here; old lines go, so that it does not grow.
function announce(text) {
  const live = $("live");
  live.append(make("p", null, text));
  while (live.childElementCount > 20) live.firstElementChild.remove();
}

let toastTimer = 0;
function toast(text, action) {
  clearTimeout(toastTimer);
  const undo = action && button(action.label, () => { hide(); action.run(); });
  const hide = () => { $("toast").hidden = true; };
  $("toast").replaceChildren(text, ...(undo ? [undo] : []));
  $("toast").hidden = false;
  toastTimer = setTimeout(hide, action ? 10000 : 4000);
}

// Without https the clipboard API is absent, and with it the browser may refuse.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { class: "sr", "aria-hidden": "true", readonly: true });
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    before?.focus();
    return isDone;
  }
}

async function copyAndSay(text) {
  toast((await copyText(text)) ? "Copied" : "This browser does not let pages copy");
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The browser may have no storage (private windows, policies); the page works on without it.
const storage = {
  get(key) {
    try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; }
  },
  remove(key) {
    try { localStorage.removeItem(key); } catch { /* nothing was kept */ }
  },
  keys(prefix) {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
    } catch {
      return [];
    }
  },
};
