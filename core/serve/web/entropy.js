// How unsure the model was at each token: colour, thickness of the line, and the figures in a tip.

const NATS_PER_BIT = Math.LN2;
// Bits from which a level begins; 1 bit is a coin toss, 4 bits sixteen equal choices.
const LEVELS = [0, 1, 2, 3, 4];
const LEVEL_NAMES = ["under 1 bit", "1 to 2", "2 to 3", "3 to 4", "4 bits and more"];

const TOOL_NAMES = { python: "calculator", python_output: "gave" };

const levelOf = (bits) => LEVELS.findLastIndex((from) => bits >= from);
const bitsOf = (nats) => nats / NATS_PER_BIT;

function legend() {
  const keys = LEVEL_NAMES.map((name, level) => (
    make("span", null, make("span", { class: `e${level}` }, "ab"), ` ${name}`)
  ));
  return make("div", { class: "legend fine" }, "Entropy:", ...keys);
}

function meanBits(answer) {
  const probed = answer.tokens.filter((token) => token.length > 3);
  if (!probed.length) return null;
  return bitsOf(probed.reduce((sum, token) => sum + token[3], 0) / probed.length);
}

const visible = (text) => (text === "" ? "(nothing)" : JSON.stringify(text).slice(1, -1));

function tokenSpan(token, index, isFirst) {
  const [text, , isForced, nats] = token;
  const level = nats === undefined ? 0 : Math.max(0, levelOf(bitsOf(nats)));
  const kinds = ["token", `e${level}`, isForced && "forced", text.includes("\n") && "break"];
  const figure = nats === undefined ? "no figures" : `${bitsOf(nats).toFixed(1)} bits`;
  const told = isForced ? "from the tool" : figure;
  return make("span", {
    class: kinds.filter(Boolean).join(" "), role: "option", "aria-selected": "false",
    "aria-label": `${visible(text)}, ${told}`, "data-index": index, tabindex: isFirst ? "0" : "-1",
  }, text);
}

// Appends the tokens that the box does not show yet. Tokens without text of their own (a part of
// a character, a marker of a tool call) have nothing to point at.
function showTokens(box, answer) {
  const shown = Number(box.dataset.shown ?? 0);
  answer.tokens.slice(shown).forEach((token, offset) => {
    const [text, kind] = token;
    if (TOOL_NAMES[kind]) {
      box.append(make("code", { class: "called" }, `${TOOL_NAMES[kind]} ${text}`));
    } else if (text !== "") {
      box.append(tokenSpan(token, shown + offset, !box.querySelector(".token")));
    }
  });
  box.dataset.shown = answer.tokens.length;
}

function tokenBox(answer, model) {
  const box = make("div", {
    class: "tokens", role: "listbox", "aria-orientation": "horizontal",
    "aria-label": "Tokens of the answer; arrow keys move between them",
  });
  const show = (event) => {
    const span = event.target.closest?.(".token");
    if (span) showTip(span, answer.tokens[Number(span.dataset.index)], model());
  };
  for (const name of ["pointerover", "focusin", "click"]) box.addEventListener(name, show);
  for (const name of ["pointerleave", "focusout"]) box.addEventListener(name, hideTip);
  box.addEventListener("keydown", moveBetweenTokens);
  showTokens(box, answer);
  return box;
}

function moveBetweenTokens(event) {
  const here = event.target;
  const all = [...event.currentTarget.querySelectorAll(".token")];
  const at = all.indexOf(here);
  const next = {
    ArrowRight: all[at + 1], ArrowDown: all[at + 1], ArrowLeft: all[at - 1], ArrowUp: all[at - 1],
    Home: all[0], End: all.at(-1),
  }[event.key];
  if (!next) return;
  event.preventDefault();
  here.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function hideTip() {
  const tip = $("tip");
  tip.hidden = true;
  document.querySelector("[aria-describedby=tip]")?.removeAttribute("aria-describedby");
}

function showTip(span, token, model) {
  const [text, id, isForced, entropy, surprisal, rank, top] = token;
  hideTip();
  span.setAttribute("aria-describedby", "tip");
  const tip = $("tip");
  const title = make("strong", null, `"${visible(text)}"`);
  if (entropy === undefined) {
    const why = isForced ? "Written by the tool, not chosen." : "No figures were kept.";
    tip.replaceChildren(title, make("p", null, why));
  } else {
    const share = percent(Math.exp(-surprisal));
    tip.replaceChildren(title,
      make("p", null, `Entropy ${bitsOf(entropy).toFixed(2)} bits. Taken with ${share}, `
        + `rank ${rank + 1}, surprisal ${bitsOf(surprisal).toFixed(2)} bits.`),
      alternatives(top, id, top.map(([other]) => `#${other}`)));
    piecesOf(model, top.map(([other]) => other)).then((texts) => {
      if (span.hasAttribute("aria-describedby")) {
        tip.lastElementChild.replaceWith(alternatives(top, id, texts));
        placeTip();
      }
    });
  }
  tip.hidden = false;
  placeTip();
}

function alternatives(top, takenId, texts) {
  const rows = top.map(([id, p], index) => make("tr", { class: id === takenId ? "taken" : null },
    make("td", null, visible(texts[index])),
    make("td", { class: "number" }, percent(p)),
    make("td", null, make("progress", { max: "1", value: p, "aria-hidden": "true" }))));
  return make("table", { "aria-label": "Likeliest tokens" }, make("tbody", null, ...rows));
}

function percent(p) {
  const share = 100 * p;
  return `${share >= 9.95 ? share.toFixed(0) : share.toPrecision(2)}\u00a0%`;
}

// Puts the tip beside its token, or away when the token has left the view.
function placeTip() {
  const tip = $("tip");
  const span = document.querySelector("[aria-describedby=tip]");
  if (tip.hidden || !span) return;
  const frame = $("log").getBoundingClientRect();
  const at = span.getClientRects()[0];
  if (at.bottom < frame.top || at.top > frame.bottom) {
    hideTip();
    return;
  }
  const isBelow = at.bottom + tip.offsetHeight + 12 < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${isBelow ? at.bottom + 8 : Math.max(8, at.top - tip.offsetHeight - 8)}px`;
}
