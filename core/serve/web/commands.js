// Slash commands. Each takes the words behind its name and returns a sentence to show, or nothing.

function commandTable(app) {
  const numbers = NUMBERS.map((number) => ({
    name: number.command, args: "[number]", help: `${number.label}. ${number.help}`,
    run: (words) => numberCommand(app, number, words),
  }));
  const flag = (name, key, help) => ({
    name, args: "[on|off]", help,
    run: (words) => {
      const wanted = { on: true, off: false, "": !app.settings[key] }[words];
      if (wanted === undefined) return fault(`/${name} takes on or off`);
      app.change({ [key]: wanted });
      return `${name} is ${wanted ? "on" : "off"}`;
    },
  });
  return [
    ...numbers,
    { name: "model", args: "[name]", help: "Show the models, or choose one.",
      run: (words) => modelCommand(app, words) },
    { name: "system", args: "[text|none]", help: "Text before your first message.",
      run: (words) => systemCommand(app, words) },
    flag("stats", "hasStats", "Show figures under each answer."),
    flag("entropy", "hasEntropy", "Colour each token by how unsure the model was."),
    { name: "theme", args: "auto|light|dark", help: "Choose the colours.", run: (words) => {
      if (!THEMES.includes(words)) return fault(`/theme takes ${THEMES.join(", ")}`);
      app.change({ theme: words });
      return `theme is ${words}`;
    } },
    { name: "retry", args: "", help: "Answer the last question again.", run: () => app.retry() },
    { name: "save", args: "", help: "Save this conversation as a JSON file.",
      run: () => app.exportCurrent() },
    { name: "clear", args: "", help: "Begin a new conversation; this one stays in the list.",
      run: () => app.startNew() },
    { name: "help", args: "", help: "Show keys and commands.", run: () => app.showHelp() },
  ];
}

const fault = (text) => ({ text, isFault: true });

function numberCommand(app, number, words) {
  if (words) {
    const value = parseNumber(number, words);
    if (typeof value === "string") return fault(value);
    app.change({ [number.key]: value });
  }
  const value = app.settings[number.key];
  return `${number.label.toLowerCase()} is ${value ?? (number.key === "seed" ? "random" : "open")}`;
}

function modelCommand(app, words) {
  const names = app.models.map((model) => model.id);
  if (!words) {
    const using = app.settings.model || names[0] || "the default";
    return [`using ${using}`, ...names.map((name) => `  ${name}`)].join("\n");
  }
  const exact = names.filter((name) => name === words);
  const found = exact.length ? exact : names.filter((name) => name.includes(words));
  if (found.length !== 1) {
    const count = found.length || "no";
    return fault(`${count} models match ${JSON.stringify(words)}; /model lists them`);
  }
  app.change({ model: found[0] });
  return `using ${found[0]}`;
}

function systemCommand(app, words) {
  if (words) app.change({ system: words === "none" ? "" : words });
  return app.settings.system ? `system text: ${app.settings.system}` : "no system text";
}

// Returns the sentence that answers a command line such as "/topk 20".
function runCommand(app, line) {
  const [, name, words] = line.match(/^\/(\S*)\s*([^]*)$/);
  const command = app.commands.find((one) => one.name === name.toLowerCase());
  if (command) return command.run(words.trim());
  return fault(`no command /${name}; /help lists them, // begins a message with /`);
}

function matching(commands, line) {
  const match = line.match(/^\/([a-z]*)$/i);
  return match ? commands.filter((one) => one.name.startsWith(match[1].toLowerCase())) : [];
}

const KEYS = [
  ["Enter", "Send"], ["Shift+Enter", "New line"], ["Esc", "Stop the answer, close what is open"],
  ["Up, in an empty box", "Edit your last message"],
  ["Ctrl+Shift+N or O", "New conversation (browsers keep the first for themselves)"],
  ["/", "Go to the message box"], ["?", "This help"],
  ["Arrow keys, on a token", "Move through the tokens in the entropy view"],
];

function helpView(commands) {
  const entry = ([term, told]) => [make("dt", null, term), make("dd", null, told)];
  const list = (rows) => make("dl", null, ...rows.flatMap(entry));
  return [
    make("h3", null, "Keys"), list(KEYS),
    make("h3", null, "Commands"),
    list(commands.map((one) => [`/${one.name} ${one.args}`.trim(), one.help])),
    make("h3", null, "Entropy"),
    make("p", { class: "fine" }, "How unsure the model was where it chose a token, in bits, at "
      + "temperature 1 and before any filter: 1 bit is a coin toss. Colour and the thickness of "
      + "the line say the same; point at a token, tap it or go there with the arrow keys to see "
      + "what else could have stood there. Rank 1 is the likeliest."),
  ];
}
