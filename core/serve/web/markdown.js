// The little markdown that small models write: code, bold, headings and lists; the rest is text.

function inline(text) {
  const nodes = [];
  const pattern = /`([^`\n]+)`|\*\*([^*\n]+)\*\*/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    nodes.push(text.slice(end, match.index));
    const [, code, strong] = match;
    nodes.push(code === undefined ? make("strong", null, strong) : make("code", null, code));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)];
}

function codeBlock(language, lines) {
  const code = lines.join("\n");
  const head = make("div", { class: "small" }, make("span", { class: "fine" }, language || "code"),
    button("Copy code", () => copyAndSay(code)));
  const box = make("pre", { tabindex: "0", "aria-label": "Code" }, code);
  return make("div", { class: "code" }, head, box);
}

const LINE_KINDS = [
  { tag: "ul", pattern: /^\s*[-*+] +(.*)$/ },
  { tag: "ol", pattern: /^\s*\d{1,3}[.)] +(.*)$/ },
  { tag: "h3", pattern: /^#{1,6} +(.*)$/ },
];

// Returns [{tag, lines}]: neighbouring lines of a kind make one block, empty lines part blocks.
function blocksOf(text) {
  const blocks = [];
  let fence = null;
  for (const line of text.split("\n")) {
    const mark = line.match(/^\s*```(.*)$/);
    if (fence) {
      if (mark && !mark[1].trim()) fence = null;
      else fence.lines.push(line);
      continue;
    }
    if (mark) {
      fence = { tag: "code", language: mark[1].trim(), lines: [] };
      blocks.push(fence);
      continue;
    }
    const kind = LINE_KINDS.find(({ pattern }) => pattern.test(line));
    const tag = kind?.tag ?? (line.trim() ? "p" : "");
    const content = kind ? line.match(kind.pattern)[1] : line;
    if (tag === blocks.at(-1)?.tag && tag !== "h3") blocks.at(-1).lines.push(content);
    else blocks.push({ tag, lines: [content] });
  }
  return blocks.filter((block) => block.tag);
}

function markdown(text) {
  return blocksOf(text).map(({ tag, language, lines }) => {
    if (tag === "code") return codeBlock(language, lines);
    if (tag === "p" || tag === "h3") return make(tag, null, ...inline(lines.join("\n")));
    return make(tag, null, ...lines.map((line) => make("li", null, ...inline(line))));
  });
}
