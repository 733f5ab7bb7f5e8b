// The settings dialog and the controls around the message box: what they show is app.settings.

function buildFields(app) {
  const fields = NUMBERS.filter((number) => number.key !== "numAnswers").map((number) => {
    const id = `set-${number.key}`;
    const input = make("input", {
      id, type: "text", inputmode: number.step === 1 ? "numeric" : "decimal",
      "aria-describedby": `${id}-help`,
      placeholder: number.start === null ? "open" : null,
    });
    const help = make("span", { class: "fine", id: `${id}-help` }, number.help);
    input.addEventListener("input", () => {
      const value = parseNumber(number, input.value);
      const isWrong = typeof value === "string";
      input.setAttribute("aria-invalid", String(isWrong));
      help.className = isWrong ? "problem" : "fine";
      help.textContent = isWrong ? value : number.help;
      if (!isWrong) app.change({ [number.key]: value }, input);
    });
    return make("div", { class: "field" }, make("label", { for: id }, number.label), input, help);
  });
  $("fields").replaceChildren(...fields);
}

// Writes the settings into every control but the one that is being typed in.
function showSettings(settings, typing) {
  for (const number of NUMBERS) {
    const input = $(`set-${number.key}`);
    if (!input || input === typing) continue;
    input.value = settings[number.key] ?? "";
    input.setAttribute("aria-invalid", "false");
    const help = $(`set-${number.key}-help`);
    help.className = "fine";
    help.textContent = number.help;
  }
  if (typing !== $("set-system")) $("set-system").value = settings.system;
  $("set-theme").value = settings.theme;
  $("theme").textContent = `Theme: ${settings.theme}`;
  $("set-stats").checked = settings.hasStats;
  $("num-answers").value = String(settings.numAnswers);
  $("entropy").setAttribute("aria-pressed", String(settings.hasEntropy));
  const seed = settings.seed === null ? "" : `, seed ${settings.seed}`;
  const topK = settings.topK || "off";
  $("brief").textContent = `temperature ${settings.temperature}, top-k ${topK}${seed}`;
}

// A kept model that is gone stays in the list, marked, until another is chosen.
function showModels(models, chosen) {
  const options = models.map((model) => make("option", { value: model.id },
    model.id + (model.lab?.is_default ? " (default)" : "")));
  if (chosen && !models.some((model) => model.id === chosen)) {
    options.push(make("option", { value: chosen }, `${chosen} (not here)`));
  }
  const first = models.length ? [] : [make("option", { value: "" }, "default model")];
  $("model").replaceChildren(...first, ...options);
  $("model").value = chosen || models[0]?.id || "";
}

function connectForms(app) {
  buildFields(app);
  const on = (id, name, handler) => $(id).addEventListener(name, handler);
  on("set-system", "input", () => app.change({ system: $("set-system").value }, $("set-system")));
  on("set-theme", "change", () => app.change({ theme: $("set-theme").value }));
  on("theme", "click", () => {
    const next = THEMES.indexOf(app.settings.theme) + 1;
    app.change({ theme: THEMES[next % THEMES.length] });
  });
  on("set-stats", "change", () => app.change({ hasStats: $("set-stats").checked }));
  on("num-answers", "change", () => app.change({ numAnswers: Number($("num-answers").value) }));
  on("entropy", "click", () => app.change({ hasEntropy: !app.settings.hasEntropy }));
  on("model", "change", () => app.change({ model: $("model").value }));
  on("reset-settings", "click", () => {
    const { model, theme } = app.settings;
    app.change({ ...defaultSettings(), model, theme });
  });
  on("open-settings", "click", () => $("settings").showModal());
  on("open-help", "click", () => app.showHelp());
  prefersDark.addEventListener("change", () => applyTheme(app.settings.theme));
}
