// How an answer is asked for, and how the page looks. Kept in the browser.

const SETTINGS_KEY = "labcli.settings";
const NUMBERS = [
  { key: "temperature", command: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05,
    start: 0.8, help: "0 takes the likeliest token each time." },
  { key: "topK", command: "topk", label: "Top-k", min: 0, max: 200, step: 1, start: 50,
    help: "Choose among this many tokens; 0 is all." },
  { key: "topP", command: "topp", label: "Top-p", min: 0.01, max: 1, step: 0.01, start: 1,
    help: "Choose among the likeliest that have this share; 1 is all." },
  { key: "minP", command: "minp", label: "Min-p", min: 0, max: 1, step: 0.01, start: 0,
    help: "Leave out tokens below this share of the likeliest." },
  { key: "penalty", command: "penalty", label: "Repetition penalty", min: 0.1, max: 10, step: 0.05,
    start: 1, help: "Above 1 avoids what was said already." },
  { key: "maxTokens", command: "maxtokens", label: "Max tokens", min: 1, max: 4096, step: 1,
    start: null, help: "Empty: what fits, at most 512." },
  // Whole numbers above 2^53 are not exact in a browser.
  { key: "seed", command: "seed", label: "Seed", min: 0, max: 2 ** 53 - 1, step: 1, start: null,
    help: "Empty: a new one for each answer." },
  { key: "numAnswers", command: "answers", label: "Answers", min: 1, max: 4, step: 1, start: 1,
    help: "Several answers stand side by side." },
];
const THEMES = ["auto", "light", "dark"];

function defaultSettings() {
  const numbers = Object.fromEntries(NUMBERS.map((number) => [number.key, number.start]));
  return { ...numbers, model: "", system: "", theme: "auto", hasStats: true, hasEntropy: false };
}

// Returns a number, null for "leave it open", or the sentence that says what is wrong.
function parseNumber(number, text) {
  const word = text.trim();
  const isOpen = number.start === null && ["", "none", "random", "auto"].includes(word);
  if (isOpen) return null;
  const value = Number(word);
  const isFine = word !== "" && Number.isFinite(value) && value >= number.min && value <= number.max
    && (number.step !== 1 || Number.isInteger(value));
  const kind = number.step === 1 ? "a whole number" : "a number";
  return isFine ? value : `${number.label} must be ${kind} from ${number.min} to ${number.max}`;
}

function loadSettings() {
  const settings = defaultSettings();
  const kept = storage.get(SETTINGS_KEY) ?? {};
  for (const number of NUMBERS) {
    const value = kept[number.key];
    if (value === undefined || (value === null && number.start !== null)) continue;
    const parsed = parseNumber(number, String(value ?? ""));
    if (typeof parsed !== "string") settings[number.key] = parsed;
  }
  for (const key of ["model", "system", "hasStats", "hasEntropy"]) {
    if (typeof kept[key] === typeof settings[key]) settings[key] = kept[key];
  }
  if (THEMES.includes(kept.theme)) settings.theme = kept.theme;
  return settings;
}

function requestBody(settings, messages) {
  const body = {
    messages, stream: true, lab: true, truncation: "auto",
    temperature: settings.temperature, top_k: settings.topK, top_p: settings.topP,
    min_p: settings.minP, repetition_penalty: settings.penalty, n: settings.numAnswers,
  };
  if (settings.model) body.model = settings.model;
  if (settings.maxTokens !== null) body.max_tokens = settings.maxTokens;
  if (settings.seed !== null) body.seed = settings.seed;
  return body;
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
function applyTheme(theme) {
  const isDark = theme === "dark" || (theme === "auto" && prefersDark.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}
