// Whether the server is there: gone, back, loading, asking for a token.

const HEALTHY_MS = 15000;
const LOST_MS = 2000;
let healthTimer = 0;
let isLost = false;

function banner(text) {
  if ($("banner").textContent !== text) $("banner").textContent = text;
  $("banner").hidden = !text;
}

async function checkHealth() {
  clearTimeout(healthTimer);
  let delay = HEALTHY_MS;
  try {
    const health = await (await call("health", undefined, AbortSignal.timeout(HEALTHY_MS))).json();
    if (isLost || !app.models.length) await loadModels();
    if (isLost) announce("The server answers again.");
    isLost = false;
    banner(health.ready ? "" : "The server is loading its model.");
    if (!health.ready) delay = LOST_MS;
  } catch (error) {
    isLost = true;
    delay = LOST_MS;
    banner(error.status === 401
      ? "The server asks for a token: open this page once with ?token=TOKEN in its address."
      : `${error.message} Trying again; what you wrote is kept.`);
  }
  if (!document.hidden) healthTimer = setTimeout(checkHealth, delay);
}

async function loadModels() {
  app.models = (await (await call("v1/models")).json()).data;
  showModels(app.models, app.settings.model);
}
